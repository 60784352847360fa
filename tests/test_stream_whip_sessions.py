"""The rules of WHIP sessions: names, places, DELETE and trickled candidates."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream.sdp_text import MAX_SDP_BYTES
from stream.signalling import HttpRequest, HttpResponse, error
from stream.whip import AddCandidates, CloseSession, OpenSession, WhipResources
from tests.whip_requests import CONFIG, FRAGMENT, SDP, opened, patch, post, resources, status


def test_delete_ends_a_session_once() -> None:
    table = resources()
    path = opened(table, post())
    delete = HttpRequest(method="DELETE", path=path, headers={"if-match": '"whatever"'})
    assert table.handle(delete) == CloseSession(session_id=path.rpartition("/")[2])
    assert status(table.handle(delete)) == 404
    assert len(table) == 0


def test_a_session_is_only_found_under_its_own_stream() -> None:
    table = resources()
    path = opened(table, post("/whip/a"))
    other = path.replace("/whip/a/", "/whip/b/")
    assert status(table.handle(HttpRequest(method="DELETE", path=other, headers={}))) == 404
    assert len(table) == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
def test_a_session_takes_no_other_method(method: str) -> None:
    table = resources()
    path = opened(table, post(), takes_candidates=False)
    response = table.handle(replace(post(path), method=method))
    assert status(response) == 405
    assert isinstance(response, HttpResponse)
    assert dict(response.headers)["Allow"] == "DELETE, OPTIONS"


@pytest.mark.parametrize(
    ("condition", "body", "expected"),
    [
        (None, FRAGMENT, 428),
        ("", FRAGMENT, 428),
        ('"stale"', FRAGMENT, 412),
        ("id2", FRAGMENT, 412),  # unquoted: no entity tag
        ('W/"id2"', FRAGMENT, 412),  # If-Match compares strongly (RFC 9110 section 13.1.1)
        ("*", FRAGMENT, 422),
        ('"*"', "a=ice-ufrag:new\r\na=ice-pwd:new\r\n", 422),
        ('"id2"', "a=ice-ufrag:other\r\na=ice-pwd:x\r\n", 422),
        ('"id2"', "", 400),
        ('"id2"', "garbage", 400),
        ('"id2"', "a=" + "x" * MAX_SDP_BYTES, 413),
    ],
)
def test_bad_candidates_get_their_status_and_the_session_lives_on(
    condition: str | None, body: str, expected: int
) -> None:
    table = resources()  # the first session is id1, its ETag "id2"
    path = opened(table, post())
    assert status(table.handle(patch(path, condition, body))) == expected
    assert isinstance(table.handle(patch(path, '"id2"')), AddCandidates)


@pytest.mark.parametrize("condition", ['"id2"', ' "other" , "id2"'])
def test_candidates_reach_the_session_that_the_condition_names(condition: str) -> None:
    table = resources()
    path = opened(table, post())
    assert table.handle(patch(path, condition)) == AddCandidates(
        session_id="id1", sdp_fragment=FRAGMENT
    )


def test_candidates_need_their_media_type() -> None:
    table = resources()
    path = opened(table, post())
    response = table.handle(replace(patch(path, '"id2"'), headers={**SDP, "if-match": '"id2"'}))
    assert status(response) == 415
    assert isinstance(response, HttpResponse)
    assert dict(response.headers)["Accept-Patch"] == "application/trickle-ice-sdpfrag"


def test_a_session_without_trickle_allows_no_patch() -> None:
    table = resources()
    path = opened(table, post(), takes_candidates=False)
    assert status(table.handle(patch(path, '"id2"'))) == 405


def test_options_tells_nothing_about_which_sessions_exist() -> None:
    table = resources()
    known = opened(table, post())
    ask = HttpRequest(method="OPTIONS", path=known, headers={})
    response = table.handle(ask)
    assert status(response) == 204
    assert response == table.handle(replace(ask, path="/whip/live/unknown"))


def test_a_name_is_published_once_until_its_session_is_forgotten() -> None:
    table = resources()
    first = table.handle(post("/whip/a"))
    assert isinstance(first, OpenSession)
    assert status(table.handle(post("/whip/a"))) == 409  # already while the first is answered
    table.opened(first.session_id, "v=0", takes_candidates=False)
    assert status(table.handle(post("/whip/a"))) == 409
    assert isinstance(table.handle(post("/whip/b")), OpenSession)
    table.forget(first.session_id)
    assert isinstance(table.handle(post("/whip/a")), OpenSession)


def test_a_newcomer_takes_a_name_over_only_when_that_is_configured_and_the_old_one_is_open() -> (
    None
):
    table = resources(replace(CONFIG, replace_publisher=True, max_sessions=1))
    old = table.handle(post("/whip/a"))
    assert isinstance(old, OpenSession)
    assert old.replaces is None
    assert status(table.handle(post("/whip/a"))) == 409
    table.opened(old.session_id, "v=0", takes_candidates=False)
    new = table.handle(post("/whip/a"))
    assert isinstance(new, OpenSession)
    assert new.replaces == old.session_id
    # A refused newcomer leaves the old session where it was.
    assert status(table.refused(new.session_id, error(422, "unusable"))) == 422
    assert len(table) == 1
    assert isinstance(
        table.handle(replace(post(f"/whip/a/{old.session_id}"), method="DELETE")), CloseSession
    )


def test_a_full_server_says_when_to_come_back() -> None:
    table = resources(replace(CONFIG, max_sessions=2))
    first = table.handle(post("/whip/a"))
    assert isinstance(first, OpenSession)
    opened(table, post("/whip/b"))
    full = table.handle(post("/whip/c"))
    assert status(full) == 503
    assert isinstance(full, HttpResponse)
    assert int(dict(full.headers)["Retry-After"]) > 0
    table.refused(first.session_id, error(422, "unusable"))
    assert isinstance(table.handle(post("/whip/c")), OpenSession)


def test_session_urls_cannot_be_guessed() -> None:
    table = WhipResources(CONFIG)
    decisions = [table.handle(post(f"/whip/{name}")) for name in "abc"]
    ids = {decision.session_id for decision in decisions if isinstance(decision, OpenSession)}
    assert len(ids) == 3
    assert all(len(session_id) >= 32 for session_id in ids)  # 24 bytes in base64
