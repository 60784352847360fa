"""The rules of the WHEP server as a table: requests in, decisions out."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.access import AccessRules
from stream.sdp_text import MAX_SDP_BYTES
from stream.session_table import CloseSession, Decision, OpenSession, TakeAnswer
from stream.signalling import HttpConfig, HttpRequest, HttpResponse
from stream.whep_server import WhepResources
from tests.whip_requests import CONFIG, OFFER, SDP, post, status

SECRET = replace(CONFIG, access=AccessRules(publish_token="publish", view_token="view"))


def table(config: HttpConfig = CONFIG, *, max_viewers: int = 9) -> WhepResources:
    numbers = count(1)
    return WhepResources(
        config,
        is_known=lambda name: name in ("live", "b"),
        max_viewers=max_viewers,
        new_id=lambda: f"id{next(numbers)}",
    )


def viewed(resources: WhepResources, path: str = "/whep/live") -> tuple[str, str]:
    """Open a session as the edge would: its id and its path."""
    decision = resources.handle(post(path))
    assert isinstance(decision, OpenSession)
    response = resources.opened(decision.session_id, "v=0\r\n", takes_candidates=False)
    assert response.status == 201
    return decision.session_id, dict(response.headers)["Location"]


@pytest.mark.parametrize(
    ("path", "stream", "view"),
    [
        ("/whep", "live", "restored"),
        ("/whep/live", "live", "restored"),
        ("/whep/b/", "b", "restored"),
        ("/whep/b/lr", "b", "received"),
    ],
)
def test_the_path_names_the_stream_and_the_picture(path: str, stream: str, view: str) -> None:
    decision = table().handle(post(path))
    assert isinstance(decision, OpenSession)
    assert (decision.offer.stream, decision.offer.view) == (stream, view)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (post("/whep/live"), 401),
        (post("/whep/live", authorization="Bearer guess"), 401),
        (post("/whep/nobody", authorization="Bearer view"), 404),
        (post("/whep/live/sd", authorization="Bearer view", **{"content-type": "x"}), 404),
        (post("/whep/a b", authorization="Bearer view"), 404),
        (post("/whep", body="junk", authorization="Bearer view"), 400),
        (post("/whep", body=b"\xff\x00", authorization="Bearer view"), 400),
        (post("/whep", authorization="Bearer view", **{"content-type": "text/plain"}), 415),
        (post("/whep", body="v" * (MAX_SDP_BYTES + 1), authorization="Bearer view"), 413),
        (HttpRequest(method="GET", path="/whep", headers={"authorization": "Bearer view"}), 405),
        (HttpRequest(method="OPTIONS", path="/whep", headers={}), 204),
        (HttpRequest(method="OPTIONS", path="/whep/live/x", headers={}), 204),
        (HttpRequest(method="DELETE", path="/whep/live/x", headers={}), 401),
    ],
)
def test_what_is_wrong_has_its_status(request_: HttpRequest, expected: int) -> None:
    decision = table(SECRET).handle(request_)
    assert isinstance(decision, HttpResponse)
    assert decision.status == expected


def test_many_view_one_stream_until_the_limit() -> None:
    resources = table(max_viewers=2)
    _, path = viewed(resources)
    viewed(resources)
    full = resources.handle(post("/whep/b"))
    assert status(full) == 503
    assert isinstance(full, HttpResponse)
    assert int(dict(full.headers)["Retry-After"]) > 0
    delete = HttpRequest(method="DELETE", path=path, headers={})
    assert isinstance(resources.handle(delete), CloseSession)
    assert status(resources.handle(delete)) == 404
    viewed(resources, "/whep/b")


def test_the_servers_own_offer_goes_with_406_and_its_answer_comes_by_patch() -> None:
    resources = table()
    decision = resources.handle(post("/whep/live"))
    assert isinstance(decision, OpenSession)
    response = resources.counter_offered(decision.session_id, "v=0\r\no=ours\r\n")
    headers = dict(response.headers)
    assert (response.status, headers["Content-Type"]) == (406, "application/sdp")
    patch = HttpRequest(method="PATCH", path=headers["Location"], headers=SDP, body=OFFER.encode())
    assert status(resources.handle(replace(patch, headers={}))) == 415
    assert status(resources.handle(replace(patch, body=b"junk"))) == 400
    assert status(resources.handle(replace(patch, body=b"v" * (MAX_SDP_BYTES + 1)))) == 413
    taken = resources.handle(patch)
    assert taken == TakeAnswer(session_id=decision.session_id, answer_sdp=OFFER)
    assert resources.answered(decision.session_id).status == 204
    assert status(resources.handle(patch)) == 405  # only once


def test_a_session_of_one_stream_is_not_found_under_another() -> None:
    resources = table()
    _, path = viewed(resources)
    elsewhere = path.replace("/live/", "/b/")
    assert status(resources.handle(HttpRequest(method="DELETE", path=elsewhere, headers={}))) == 404


@given(
    method=st.sampled_from(["POST", "PATCH", "DELETE", "GET", "OPTIONS", "\x00"]),
    path=st.one_of(st.text(), st.sampled_from(["/whep", "/whep/live", "/whep/live/id1"])),
    body=st.binary(max_size=40),
    kind=st.sampled_from(["", "application/sdp", "application/trickle-ice-sdpfrag"]),
)
def test_no_request_whatever_raises(method: str, path: str, body: bytes, kind: str) -> None:
    resources = table()
    viewed(resources)
    headers = {"content-type": kind}
    decision: Decision = resources.handle(
        HttpRequest(method=method, path=path, headers=headers, body=body)
    )
    assert decision is not None
