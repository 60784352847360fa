"""The HTTP edge on real sockets: what is answered, and the life of sessions."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import aiohttp
import pytest

from stream.access import AccessRules
from stream.errors import ConfigError, PeerError
from stream.http_server import Offer, Session, SignallingServer
from tests.http_sessions import (
    CONFIG,
    OFFER,
    SDP,
    Acceptor,
    EchoSession,
    TrickleEchoSession,
    assert_serves,
    eventually,
    never_answers,
)

FRAGMENT = "a=ice-ufrag:EsAw\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_a_session_is_published_and_ended_over_http(http: aiohttp.ClientSession) -> None:
    accept = Acceptor()
    async with SignallingServer(CONFIG, accept) as server:
        async with http.post(server.url, data=OFFER, headers=SDP) as response:
            assert response.status == 201
            assert response.headers["Content-Type"] == "application/sdp"
            assert response.headers["ETag"].startswith('"')
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert await response.text() == OFFER
            location = response.headers["Location"]
        assert (accept.sessions[0].stream, server.session_count) == ("live", 1)
        session_url = server.url.removesuffix("/whip") + location
        async with http.delete(session_url) as response:
            assert (response.status, await response.read()) == (200, b"")
        assert (accept.sessions[0].close_calls, server.session_count) == (1, 0)
        async with http.delete(session_url) as response:
            assert response.status == 404
    assert accept.sessions[0].close_calls == 1


async def test_a_preflight_and_a_wrong_method_are_answered(http: aiohttp.ClientSession) -> None:
    async with SignallingServer(
        replace(CONFIG, access=AccessRules(publish_token="t")), Acceptor()
    ) as server:
        async with http.options(server.url) as response:
            assert response.status == 204
            assert response.headers["Accept-Post"] == "application/sdp"
        headers = {"Authorization": "Bearer t"}
        for method in ("GET", "HEAD", "PUT", "LOCK"):
            async with http.request(method, server.url, headers=headers) as response:
                assert response.status == 405
                assert response.headers["Allow"] == "POST, OPTIONS"


async def test_a_wrong_token_opens_nothing(http: aiohttp.ClientSession) -> None:
    accept = Acceptor()
    async with SignallingServer(
        replace(CONFIG, access=AccessRules(publish_token="right")), accept
    ) as server:
        for headers in (SDP, SDP | {"Authorization": "Bearer wrong"}):
            async with http.post(server.url, data=OFFER, headers=headers) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert not accept.sessions
        headers = SDP | {"Authorization": "Bearer right"}
        async with http.post(server.url, data=OFFER, headers=headers) as response:
            assert response.status == 201


async def test_a_session_that_ends_by_itself_leaves_the_table_and_frees_its_name(
    http: aiohttp.ClientSession,
) -> None:
    accept = Acceptor()
    async with SignallingServer(CONFIG, accept) as server:
        async with http.post(server.url, data=OFFER, headers=SDP) as response:
            location = response.headers["Location"]
        async with http.post(server.url, data=OFFER, headers=SDP) as response:
            assert response.status == 409
        accept.sessions[0].closed.set()
        await eventually(lambda: server.session_count == 0)
        async with http.delete(server.url.removesuffix("/whip") + location) as response:
            assert response.status == 404
        async with http.post(server.url, data=OFFER, headers=SDP) as response:
            assert response.status == 201
        await eventually(lambda: accept.sessions[0].close_calls == 1)


async def test_a_newcomer_that_is_refused_does_not_end_the_session_it_would_replace(
    http: aiohttp.ClientSession,
) -> None:
    accept = Acceptor()

    async def accept_some(offer: Offer) -> Session:
        if "bad" in offer.sdp:
            raise PeerError("no codec in common")
        return await accept(offer)

    async with SignallingServer(replace(CONFIG, replace_publisher=True), accept_some) as server:
        for body, expected in ((OFFER, 201), (OFFER + "a=bad\r\n", 422)):
            async with http.post(server.url, data=body, headers=SDP) as response:
                assert response.status == expected
        assert accept.sessions[0].close_calls == 0
        async with http.post(server.url, data=OFFER, headers=SDP) as response:
            assert response.status == 201
        assert [session.close_calls for session in accept.sessions] == [1, 0]
        assert server.session_count == 1


async def _unusable(offer: Offer) -> Session:
    raise PeerError("no codec in\r\ncommon")


async def _crash(offer: Offer) -> Session:
    raise ZeroDivisionError("a bug of ours, with a /secret/path")


@pytest.mark.parametrize(
    ("accept", "status", "body"),
    [
        (_unusable, 422, "no codec in common\n"),
        (_crash, 500, "the server failed to answer the offer\n"),
        (never_answers, 503, "no answer in time\n"),
    ],
)
async def test_an_offer_that_comes_to_nothing_leaves_nothing_behind(
    http: aiohttp.ClientSession,
    caplog: pytest.LogCaptureFixture,
    accept: Callable[[Offer], Awaitable[Session]],
    status: int,
    body: str,
) -> None:
    async with SignallingServer(CONFIG, accept) as server:
        for _ in range(2):  # the name is free again
            async with http.post(server.url, data=OFFER, headers=SDP) as response:
                assert (response.status, await response.text()) == (status, body)
        assert server.session_count == 0
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == (0 if status == 422 else 2)
    assert all("stream live" in line for line in lines)


async def test_a_session_that_cannot_close_does_not_harm_the_server(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck(EchoSession):
        async def close(self) -> None:
            raise OSError("socket is stuck")

    async with SignallingServer(CONFIG, Acceptor(Stuck)) as server:
        await assert_serves(server, http)
        async with http.post(server.url, data=OFFER, headers=SDP) as response:
            assert response.status == 201
    assert caplog.text.count("socket is stuck") == 2


async def test_candidates_reach_a_session_that_takes_them(http: aiohttp.ClientSession) -> None:
    accept = Acceptor(TrickleEchoSession)
    async with SignallingServer(CONFIG, accept) as server:
        async with http.post(server.url, data=OFFER, headers=SDP) as response:
            url = server.url.removesuffix("/whip") + response.headers["Location"]
            entity_tag = response.headers["ETag"]
        headers = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": entity_tag}
        for fragment, expected in (
            (FRAGMENT, 204),
            ("a=candidate:1 1 udp 1 127.0.0.1 9 typ prflx\r\n", 422),
            ("a=crash\r\n", 500),
            (FRAGMENT, 204),
        ):
            async with http.patch(url, data=fragment, headers=headers) as response:
                assert response.status == expected
                assert (await response.text()).count("\n") == (0 if expected == 204 else 1)
        session = accept.sessions[0]
        assert isinstance(session, TrickleEchoSession)
        assert session.fragments == [FRAGMENT, FRAGMENT]
        assert server.session_count == 1


async def test_a_session_without_trickle_says_405(http: aiohttp.ClientSession) -> None:
    async with SignallingServer(CONFIG, Acceptor()) as server:
        async with http.post(server.url, data=OFFER, headers=SDP) as response:
            url = server.url.removesuffix("/whip") + response.headers["Location"]
        async with http.patch(url, data=FRAGMENT) as response:
            assert (response.status, response.headers["Allow"]) == (405, "DELETE, OPTIONS")


async def test_a_full_server_says_503_until_a_place_is_free(http: aiohttp.ClientSession) -> None:
    accept = Acceptor()
    async with SignallingServer(replace(CONFIG, max_sessions=1), accept) as server:
        async with http.post(f"{server.url}/a", data=OFFER, headers=SDP) as response:
            assert response.status == 201
        async with http.post(f"{server.url}/b", data=OFFER, headers=SDP) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0
        accept.sessions[0].closed.set()
        await eventually(lambda: server.session_count == 0)
        await assert_serves(server, http)


async def test_stopping_closes_every_session_and_the_port(http: aiohttp.ClientSession) -> None:
    accept = Acceptor()
    server = SignallingServer(CONFIG, accept)
    await server.start()
    for name in ("a", "b"):
        async with http.post(f"{server.url}/{name}", data=OFFER, headers=SDP) as response:
            assert response.status == 201
    await server.stop()
    assert [session.close_calls for session in accept.sessions] == [1, 1]
    assert server.session_count == 0
    with pytest.raises(aiohttp.ClientConnectorError):
        await http.post(server.url, data=OFFER, headers=SDP)
    await server.stop()


async def test_a_server_can_start_again_on_its_port(http: aiohttp.ClientSession) -> None:
    async with SignallingServer(CONFIG, Acceptor()) as server:
        port = int(server.url.rpartition(":")[2].partition("/")[0])
        await assert_serves(server, http)
    async with SignallingServer(replace(CONFIG, port=port), Acceptor()) as server:
        await assert_serves(server, http)


async def test_a_port_in_use_is_one_line_that_says_what_to_do() -> None:
    async with SignallingServer(CONFIG, Acceptor()) as server:
        port = int(server.url.rpartition(":")[2].partition("/")[0])
        with pytest.raises(ConfigError) as caught:
            await SignallingServer(replace(CONFIG, port=port), Acceptor()).start()
    assert f"127.0.0.1:{port} (address already in use)" in str(caught.value)
    assert "choose another" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_an_address_that_is_not_ours_is_one_line() -> None:
    config = replace(CONFIG, host="203.0.113.1")  # TEST-NET-3, RFC 5737
    with pytest.raises(ConfigError, match=r"203\.0\.113\.1:0 \(cannot assign"):
        await SignallingServer(config, Acceptor()).start()


@pytest.mark.parametrize(
    ("host", "token", "warns"),
    [("127.0.0.1", None, False), ("0.0.0.0", None, True), ("0.0.0.0", "t", False)],
)
async def test_an_open_door_to_the_network_is_warned_about(
    caplog: pytest.LogCaptureFixture, host: str, token: str | None, warns: bool
) -> None:
    async with SignallingServer(
        replace(CONFIG, host=host, access=AccessRules(publish_token=token)), Acceptor()
    ) as server:
        assert server.url.startswith("http://127.0.0.1:")
    assert ("may publish" in caplog.text) is warns


async def test_nothing_secret_is_logged(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    accept = Acceptor()
    async with SignallingServer(
        replace(CONFIG, access=AccessRules(publish_token="s3cret")), accept
    ) as server:
        headers = SDP | {"Authorization": "Bearer s3cret"}
        async with http.post(server.url, data=OFFER, headers=headers) as response:
            session_id = response.headers["Location"].rpartition("/")[2]
        accept.sessions[0].closed.set()
        await eventually(lambda: server.session_count == 0)
    ours = json.dumps([record.getMessage() for record in caplog.records if "stream" in record.name])
    assert "the session ended" in ours
    assert "s3cret" not in ours
    assert session_id not in ours
