"""The rules of a WHIP endpoint, request by request, with no socket in sight."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.access import AccessRules
from stream.sdp_text import MAX_SDP_BYTES
from stream.signalling import HttpRequest, HttpResponse
from stream.whip import OpenSession
from tests.whip_requests import CONFIG, OFFER, opened, post, resources, status


@pytest.mark.parametrize(
    ("path", "stream"),
    [
        ("/whip", "live"),
        ("/whip/", "live"),
        ("/whip/live", "live"),
        ("/whip/cam-1_A", "cam-1_A"),
        ("/whip/" + "x" * 64, "x" * 64),
    ],
)
def test_an_offer_opens_a_session_of_the_stream_named_by_the_path(path: str, stream: str) -> None:
    table = resources()
    decision = table.handle(post(path))
    assert isinstance(decision, OpenSession)
    assert (decision.offer.stream, decision.offer.sdp) == (stream, OFFER)
    response = table.opened(decision.session_id, "v=0\r\nanswer", takes_candidates=False)
    assert (response.status, response.body) == (201, "v=0\r\nanswer")
    headers = dict(response.headers)
    assert headers["Content-Type"] == "application/sdp"
    assert headers["Location"] == f"/whip/{stream}/{decision.session_id}"
    assert headers["ETag"].startswith('"')  # strong: no W/
    assert decision.session_id not in headers["ETag"]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (post("/"), 404),
        (post("/whipped"), 404),
        (post("/whip/two/parts/more"), 404),
        (post("/whip/a.b"), 404),
        (post("/whip/" + "x" * 65), 404),
        (post("/whip/é"), 404),
        (post("/whip/live\n"), 404),
        (post("/whip/live/unknown"), 404),
        (replace(post(), method="GET"), 405),
        (replace(post(), method="HEAD"), 405),
        (replace(post(), method="PUT"), 405),
        (replace(post(), method="DELETE"), 405),
        (replace(post(), method="PATCH"), 405),
        (replace(post(), headers={}), 415),
        (replace(post(), headers={"content-type": "application/json"}), 415),
        (replace(post(), headers={"content-type": "application/sdp2"}), 415),
        (post(body=b""), 400),
        (post(body=b"hello"), 400),
        (post(body=b"\r\nv=0\r\n"), 400),
        (post(body=b"v=1\r\n"), 400),
        (post(body=b"v=0\x0c\r\n"), 400),
        (post(body=b"v=0\r\nnot a line of SDP\r\n"), 400),
        (post(body=b"v=0\r\ns=\x00\r\n"), 400),
        (post(body=b"v=0\r\ns=\xff\xfe\r\n"), 400),
        (post(body=b"v=0\r\n" + b"a" * MAX_SDP_BYTES), 413),
    ],
)
def test_a_bad_request_gets_its_status_and_one_line(request_: HttpRequest, expected: int) -> None:
    table = resources()
    decision = table.handle(request_)
    assert status(decision) == expected
    assert isinstance(decision, HttpResponse)
    if expected == 405:
        assert dict(decision.headers)["Allow"] == "POST, OPTIONS"
    if expected == 415:
        assert dict(decision.headers)["Accept-Post"] == "application/sdp"
    assert len(table) == 0


@pytest.mark.parametrize(
    "media_type", ["application/sdp", "Application/SDP", "application/sdp; charset=utf-8"]
)
def test_the_media_type_may_have_parameters_and_any_case(media_type: str) -> None:
    assert isinstance(resources().handle(post(**{"content-type": media_type})), OpenSession)


def test_an_offer_of_exactly_the_limit_is_taken() -> None:
    filler = "a=" + "x" * (MAX_SDP_BYTES - len(OFFER) - 2)
    assert isinstance(resources().handle(post(body=OFFER + filler)), OpenSession)


def test_options_on_an_endpoint_says_what_to_post_and_allows_browsers() -> None:
    table = resources()
    response = table.handle(HttpRequest(method="OPTIONS", path="/whip", headers={}))
    assert isinstance(response, HttpResponse)
    headers = dict(response.headers)
    assert (response.status, response.body) == (204, "")
    assert headers["Accept-Post"] == "application/sdp"
    assert "POST" in headers["Access-Control-Allow-Methods"]
    for name in ("Authorization", "Content-Type", "If-Match"):
        assert name in headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("Bearer wrong", 401),
        ("Bearer s3cret2", 401),
        ("Bearer s3cre", 401),
        ("Bearer \udcff\ud800", 401),
        ("Basic s3cret", 401),
        ("s3cret", 401),
        ("Bearer s3cret", 201),
        ("bearer  s3cret ", 201),
    ],
)
def test_every_request_needs_the_token(authorization: str | None, expected: int) -> None:
    table = resources(replace(CONFIG, access=AccessRules(publish_token="s3cret")))
    headers = {} if authorization is None else {"authorization": authorization}
    for request in (
        post(**headers),
        post("/nowhere", **headers),
        HttpRequest(method="DELETE", path="/whip/live/id1", headers=headers),
    ):
        decision = table.handle(request)
        if expected == 401:
            assert status(decision) == 401
            assert isinstance(decision, HttpResponse)
            assert dict(decision.headers)["WWW-Authenticate"].startswith("Bearer")
            assert "s3cret" not in decision.body
        else:
            assert not (isinstance(decision, HttpResponse) and decision.status == 401)


def test_a_preflight_needs_no_token_since_browsers_send_none() -> None:
    table = resources(replace(CONFIG, access=AccessRules(publish_token="s3cret")))
    assert status(table.handle(HttpRequest(method="OPTIONS", path="/whip", headers={}))) == 204


texts = st.text(max_size=40)
paths = st.one_of(texts, st.sampled_from(["/whip", "/whip/live/id1", "/whip/x"]))
header_maps = st.dictionaries(
    st.sampled_from(["content-type", "authorization", "if-match", "x"]),
    st.one_of(
        texts,
        st.sampled_from(
            ["application/sdp", "application/trickle-ice-sdpfrag", '"id2"', "Bearer t"]
        ),
    ),
)
bodies = st.one_of(
    st.binary(max_size=200), st.binary(max_size=60).map(lambda raw: b"v=0\r\n" + raw)
)


@given(
    requests=st.lists(
        st.builds(
            HttpRequest,
            method=st.one_of(texts, st.sampled_from(["POST", "PATCH", "DELETE", "OPTIONS", "GET"])),
            path=paths,
            headers=header_maps,
            body=bodies,
        ),
        max_size=6,
    ),
    token=st.sampled_from([None, "t"]),
)
def test_no_request_breaks_the_rules_or_fills_the_table(
    requests: list[HttpRequest], token: str | None
) -> None:
    table = resources(replace(CONFIG, access=AccessRules(publish_token=token), max_sessions=2))
    opened(table, post(authorization="Bearer t"))
    for request in requests:
        decision = table.handle(request)
        if isinstance(decision, HttpResponse):
            assert status(decision) >= 204
        assert len(table) <= 2


@given(cut=st.integers(min_value=0, max_value=len(OFFER)))
def test_a_truncated_offer_is_taken_or_refused_as_malformed(cut: int) -> None:
    decision = resources().handle(post(body=OFFER[:cut]))
    assert isinstance(decision, OpenSession) or status(decision) == 400
