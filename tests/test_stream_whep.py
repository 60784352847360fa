"""What a WHEP client concludes from each reply to its offer and to its answer."""

from __future__ import annotations

import pytest

from stream.errors import ConfigError, EdvrError, SignallingError
from stream.sdp_exchange import Redirect, Reply
from stream.whep import CounterOffer, WhepAnswer, read_counter_answer_reply, read_pull_reply

URL = "http://host.example/whep/live"
SDP_TEXT = "v=0\r\ns=-\r\n"
SDP = {"content-type": "application/sdp", "location": "/session/1"}


def reply(status: int, headers: dict[str, str], body: str = SDP_TEXT) -> Reply:
    return Reply(status=status, headers=headers, body=body.encode())


def test_an_accepted_offer_gives_the_answer() -> None:
    assert read_pull_reply(reply(201, SDP), URL, False) == WhepAnswer(
        answer_sdp=SDP_TEXT, session_url="http://host.example/session/1", entity_tag=None
    )


@pytest.mark.parametrize("parameter", ["", '; valid-until="Wed, 09 Oct 2024 10:00:00 GMT"'])
def test_a_refused_offer_may_come_with_the_servers_own(parameter: str) -> None:
    headers = {**SDP, "content-type": "application/sdp" + parameter, "etag": '"x"'}
    assert read_pull_reply(reply(406, headers), URL, False) == CounterOffer(
        offer_sdp=SDP_TEXT, session_url="http://host.example/session/1", entity_tag='"x"'
    )


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "application/sdp"}, SDP_TEXT),  # nowhere to send the answer
        (SDP, "not SDP"),
        ({**SDP, "content-type": "text/plain"}, "nothing usable"),
        ({}, ""),
    ],
)
def test_a_refusal_without_a_usable_offer_is_an_error(headers: dict[str, str], body: str) -> None:
    with pytest.raises(SignallingError, match=r"host\.example"):
        read_pull_reply(reply(406, headers, body), URL, False)


def test_a_stream_that_is_not_live_yet_says_when_to_try_again() -> None:
    with pytest.raises(SignallingError) as caught:
        read_pull_reply(reply(409, {"retry-after": "3"}, ""), URL, False)
    assert caught.value.retry_after_s == 3


@pytest.mark.parametrize("status", [302, 401, 404, 405])
def test_what_the_user_must_fix_is_told_apart_as_in_whip(status: int) -> None:
    with pytest.raises(ConfigError):
        read_pull_reply(reply(status, SDP), URL, False)


def test_a_redirect_is_followed_as_in_whip() -> None:
    assert read_pull_reply(reply(307, {"location": "/edge"}), URL, False) == Redirect(
        url="http://host.example/edge"
    )


@pytest.mark.parametrize("status", [200, 204])
def test_a_taken_counter_answer_is_success(status: int) -> None:
    read_counter_answer_reply(reply(status, {}, ""), URL, False)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (201, ConfigError),
        (400, SignallingError),
        (401, ConfigError),
        (404, ConfigError),
        (422, SignallingError),
        (500, SignallingError),
    ],
)
def test_a_counter_answer_that_is_not_taken_is_an_error(status: int, kind: type[EdvrError]) -> None:
    with pytest.raises(kind):
        read_counter_answer_reply(reply(status, {}, ""), URL, False)
