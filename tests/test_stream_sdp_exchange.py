"""What a WHIP client concludes from each reply, with no server in sight."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import ConfigError, EdvrError, SignallingError
from stream.sdp_exchange import (
    MAX_RETRY_AFTER_S,
    Redirect,
    Reply,
    SessionAnswer,
    check_url,
    is_downgrade,
    public_url,
    read_post_reply,
    read_retry_after_s,
)
from stream.sdp_text import MAX_SDP_BYTES

Outcome = TypeVar("Outcome")

URL = "https://user:pass@host.example:8443/whip/live?key=secret"
ANSWER = "v=0\r\ns=-\r\n"


def read(
    status: int, body: str | bytes = "", *, has_token: bool = True, **headers: str
) -> SessionAnswer | Redirect:
    raw = body if isinstance(body, bytes) else body.encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_post_reply(Reply(status=status, headers=named, body=raw), URL, has_token)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/session/1", "https://user:pass@host.example:8443/session/1"),
        ("live/1", "https://user:pass@host.example:8443/whip/live/1"),
        ("https://other.example/1?x=y", "https://other.example/1?x=y"),
        ("//other.example/1", "https://other.example/1"),
        ("?id=1", "https://user:pass@host.example:8443/whip/live?id=1"),
    ],
)
def test_a_created_session_has_an_absolute_url(location: str, expected: str) -> None:
    created = read(201, ANSWER, content_type="application/sdp", location=location, etag='"e"')
    assert created == SessionAnswer(answer_sdp=ANSWER, session_url=expected, entity_tag='"e"')


def test_a_server_without_etag_is_fine() -> None:
    created = read(201, ANSWER, content_type="application/sdp; charset=utf-8", location="/1")
    assert isinstance(created, SessionAnswer)
    assert created.entity_tag is None


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (ANSWER, {"content-type": "application/sdp"}),
        (ANSWER, {"content-type": "application/sdp", "location": "ftp://host/1"}),
        (ANSWER, {"content-type": "application/sdp", "location": "http://[broken/1"}),
        (ANSWER, {"content-type": "application/sdp", "location": "http://host:99999/1"}),
        (ANSWER, {"content-type": "text/html", "location": "/1"}),
        (ANSWER, {"location": "/1"}),
        ("", {"content-type": "application/sdp", "location": "/1"}),
        ("<html>", {"content-type": "application/sdp", "location": "/1"}),
        (
            ANSWER + "a=" + "x" * MAX_SDP_BYTES,
            {"content-type": "application/sdp", "location": "/1"},
        ),
    ],
)
def test_a_created_session_that_is_unusable_is_the_peers_fault(
    body: str, headers: dict[str, str]
) -> None:
    with pytest.raises(SignallingError, match=r"host\.example"):
        read_post_reply(Reply(status=201, headers=headers, body=body.encode()), URL, False)


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (200, ConfigError, "not a WHIP"),
        (204, ConfigError, "not a WHIP"),
        (300, ConfigError, "moved"),
        (301, ConfigError, "https://new.example/whip"),
        (302, ConfigError, "https://new.example/whip"),
        (303, ConfigError, "moved"),
        (308, ConfigError, "moved"),
        (400, SignallingError, "answered 400"),
        (401, ConfigError, "rejected the token"),
        (403, ConfigError, "rejected the token"),
        (404, ConfigError, "check the path"),
        (405, ConfigError, "not the URL"),
        (406, SignallingError, "406"),
        (409, SignallingError, "409"),
        (410, ConfigError, "gone"),
        (413, SignallingError, "413"),
        (415, ConfigError, "not the URL"),
        (418, SignallingError, "418"),
        (422, SignallingError, "422"),
        (429, SignallingError, "429"),
        (500, SignallingError, "500"),
        (502, SignallingError, "502"),
        (503, SignallingError, "busy"),
        (504, SignallingError, "504"),
        (599, SignallingError, "599"),
    ],
)
def test_each_status_tells_whether_to_fix_something_or_to_try_again(
    status: int, kind: type[EdvrError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        read(status, location="https://new.example/whip?key=secret")
    message = str(caught.value)
    assert words in message
    assert "https://host.example:8443/whip/live" in message
    assert "secret" not in message
    assert "pass" not in message.replace("passed", "")
    assert "\n" not in message


def test_a_missing_token_is_told_from_a_wrong_one() -> None:
    with pytest.raises(ConfigError, match="wants a token"):
        read(401, has_token=False)


def test_the_servers_own_words_are_passed_on_as_one_bounded_line() -> None:
    with pytest.raises(SignallingError) as caught:
        read(422, "no codec\r\nin \x1b[31mcommon\n" + "!" * 9999, content_type="text/plain")
    assert "(it said: no codec in [31mcommon !!!" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_web_page_is_not_repeated() -> None:
    with pytest.raises(SignallingError) as caught:
        read(502, "<html><h1>Bad Gateway</h1>", content_type="text/html")
    assert "<" not in str(caught.value)


def test_only_a_temporary_redirect_is_followed() -> None:
    assert read(307, location="/edge") == Redirect(url="https://user:pass@host.example:8443/edge")


def test_a_redirect_never_gives_up_encryption() -> None:
    with pytest.raises(ConfigError, match="unencrypted"):
        read(307, location="http://host.example/whip")
    assert is_downgrade("http://a/", from_url="https://a/")
    assert not is_downgrade("https://a/", from_url="http://a/")


def test_a_redirect_to_nowhere_is_the_peers_fault() -> None:
    with pytest.raises(SignallingError, match="Location"):
        read(307)


DATE = "Wed, 09 Oct 2024 10:00:00 GMT"


@pytest.mark.parametrize(
    ("retry_after", "date", "expected"),
    [
        ("7", None, 7.0),
        (" 7 ", None, 7.0),
        ("0", None, 0.0),
        ("99999999999999999999", None, MAX_RETRY_AFTER_S),
        ("Wed, 09 Oct 2024 10:00:30 GMT", DATE, 30.0),
        ("Wed, 09 Oct 2024 09:00:00 GMT", DATE, 0.0),
        ("Wed, 09 Oct 2099 09:00:00 GMT", DATE, MAX_RETRY_AFTER_S),
        ("Wed, 09 Oct 2024 10:00:30 GMT", None, None),
        ("Wed, 09 Oct 2024 10:00:30 GMT", "yesterday", None),
        ("-1", None, None),
        ("1.5", None, None),
        ("²", None, None),
        ("soon", DATE, None),
        ("", DATE, None),
    ],
)
def test_retry_after_is_read_in_both_forms(
    retry_after: str, date: str | None, expected: float | None
) -> None:
    headers = {"retry-after": retry_after} | ({} if date is None else {"date": date})
    assert read_retry_after_s(headers) == expected


def test_a_busy_server_says_when_to_come_back() -> None:
    with pytest.raises(SignallingError) as caught:
        read(503, retry_after="12")
    assert caught.value.retry_after_s == 12
    with pytest.raises(SignallingError) as caught:
        read(503)
    assert caught.value.retry_after_s is None


@pytest.mark.parametrize("url", ["http://h/whip", "https://h:1/", "HTTP://[::1]:80/whip?x=y"])
def test_usable_urls_are_taken(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "whip",
        "localhost:8080/whip",
        "ftp://h/whip",
        "http://",
        "http:///whip",
        "http://h:port/",
        "http://h:70000/",
        "http://[::1/",
        "http://h/a b",
        "http://h/\n",
    ],
)
def test_unusable_urls_are_the_users_to_fix(url: str) -> None:
    with pytest.raises(ConfigError, match="http://"):
        check_url(url)


def test_a_url_for_messages_holds_no_secret() -> None:
    assert public_url(URL) == "https://host.example:8443/whip/live"
    assert public_url("http://[broken") == "(malformed)"


def error_or(call: Callable[[], Outcome]) -> Outcome | EdvrError:
    try:
        return call()
    except EdvrError as refused:
        return refused


@given(
    status=st.integers(100, 599),
    headers=st.dictionaries(
        st.sampled_from(["content-type", "location", "etag", "retry-after", "date"]),
        st.one_of(st.text(max_size=30), st.sampled_from(["application/sdp", "/x", "http://h/"])),
    ),
    body=st.one_of(st.binary(max_size=80), st.just(ANSWER.encode())),
)
def test_any_reply_is_a_session_a_redirect_or_one_of_our_errors(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    reply = Reply(status=status, headers=headers, body=body)
    outcome = error_or(lambda: read_post_reply(reply, URL, False))
    match outcome:
        case SessionAnswer():
            assert status == 201
        case Redirect():
            assert status == 307
        case _:
            assert isinstance(outcome, ConfigError | SignallingError)
            assert str(outcome).isprintable()


@given(url=st.text(max_size=40).map(lambda rest: f"http://{rest}"))
def test_any_text_is_a_url_or_a_configuration_error(url: str) -> None:
    refused = error_or(lambda: check_url(url))
    assert refused is None or str(refused).isprintable()
