"""The clients against our own server, and against others that keep to the rules."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from stream.access import AccessRules
from stream.errors import ConfigError, PeerError, SignallingError
from stream.http_server import HttpConfig, Offer, Session, SignallingServer
from stream.whip_client import CounterOffer, WhepAnswer, WhepClient, WhipClient
from tests.http_sessions import OFFER, SDP, EchoSession, http_server

ANSWER = "v=0\r\ns=answer\r\n"
CONFIG = HttpConfig(host="127.0.0.1", port=0)


async def accept(offer: Offer) -> Session:
    if "unusable" in offer.sdp:
        raise PeerError("no codec in common")
    return EchoSession(offer)


async def test_a_stream_is_published_and_ended_at_our_own_server() -> None:
    async with (
        SignallingServer(CONFIG, accept) as server,
        WhipClient(f"{server.url}/cam1") as client,
    ):
        assert await client.publish(OFFER) == OFFER
        assert str(client.session_url).startswith(f"{server.url}/cam1/")
        assert client.entity_tag is not None
        assert server.session_count == 1
        assert await client.delete()
        assert server.session_count == 0
        assert not await client.delete()


async def test_leaving_the_block_ends_the_session_even_by_an_error() -> None:
    async def publish_and_fail(url: str) -> None:
        async with WhipClient(url) as client:
            await client.publish(OFFER)
            raise ZeroDivisionError

    async with SignallingServer(CONFIG, accept) as server:
        with pytest.raises(ZeroDivisionError):
            await publish_and_fail(server.url)
        assert server.session_count == 0


async def test_being_cancelled_ends_the_session() -> None:
    published = asyncio.Event()
    async with SignallingServer(CONFIG, accept) as server:

        async def publish_for_ever() -> None:
            async with WhipClient(server.url) as client:
                await client.publish(OFFER)
                published.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(publish_for_ever())
        await published.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert server.session_count == 0


async def test_publishing_again_ends_the_session_before_so_it_is_no_conflict() -> None:
    async with SignallingServer(CONFIG, accept) as server, WhipClient(server.url) as client:
        await client.publish(OFFER)
        first = client.session_url
        await client.publish(OFFER)
        assert client.session_url != first
        assert server.session_count == 1


async def test_a_second_publisher_is_told_to_wait() -> None:
    async with (
        SignallingServer(CONFIG, accept) as server,
        WhipClient(server.url) as first,
        WhipClient(server.url) as second,
    ):
        await first.publish(OFFER)
        with pytest.raises(SignallingError, match="published already"):
            await second.publish(OFFER)


async def test_a_full_server_says_how_long_to_wait() -> None:
    config = HttpConfig(host="127.0.0.1", port=0, max_sessions=1)
    async with (
        SignallingServer(config, accept) as server,
        WhipClient(f"{server.url}/a") as first,
        WhipClient(f"{server.url}/b") as second,
    ):
        await first.publish(OFFER)
        with pytest.raises(SignallingError, match="busy") as caught:
            await second.publish(OFFER)
        assert caught.value.retry_after_s == 5


async def test_the_reason_for_a_refused_offer_reaches_the_user() -> None:
    async with SignallingServer(CONFIG, accept) as server, WhipClient(server.url) as client:
        with pytest.raises(SignallingError, match=r"422.*no codec in common"):
            await client.publish(OFFER + "a=unusable\r\n")


@pytest.mark.parametrize(
    ("token", "words"), [(None, "wants a token"), ("wrong-one", "rejected the token")]
)
async def test_a_token_that_does_not_fit_is_the_users_to_fix(token: str | None, words: str) -> None:
    config = HttpConfig(host="127.0.0.1", port=0, access=AccessRules(publish_token="right"))
    async with SignallingServer(config, accept) as server:
        async with WhipClient(server.url, token) as client:
            with pytest.raises(ConfigError, match=words) as caught:
                await client.publish(OFFER)
        assert server.url in str(caught.value)
        assert "wrong-one" not in str(caught.value)
        async with WhipClient(server.url, "right") as client:
            await client.publish(OFFER)
        assert server.session_count == 0  # the DELETE carried the token too


async def test_a_wrong_path_is_the_users_to_fix() -> None:
    async with (
        SignallingServer(CONFIG, accept) as server,
        WhipClient(server.url.replace("/whip", "/whep")) as client,
    ):
        with pytest.raises(ConfigError, match="check the path"):
            await client.publish(OFFER)


@pytest.mark.parametrize("hops", [1, 3])
async def test_temporary_redirects_are_followed_with_the_same_request(hops: int) -> None:
    seen: list[tuple[str, str, str]] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append((request.method, request.headers["Authorization"], await request.text()))
        hop = int(request.path.strip("/") or 0)
        if request.method == "DELETE":
            return web.Response()
        if hop < hops:
            return web.Response(status=307, headers={"Location": f"/{hop + 1}"})
        return web.Response(status=201, body=ANSWER.encode(), headers=SDP | {"Location": "99"})

    async with http_server(handle) as url, WhipClient(f"{url}/0", "t") as client:
        assert await client.publish(OFFER) == ANSWER
        assert client.session_url == f"{url}/99"
    assert seen == [("POST", "Bearer t", OFFER)] * (hops + 1) + [("DELETE", "Bearer t", "")]


async def test_a_stream_is_pulled() -> None:
    async def handle(request: web.Request) -> web.Response:
        assert request.method in ("POST", "DELETE")
        return web.Response(status=201, body=ANSWER.encode(), headers=SDP | {"Location": "/1"})

    async with http_server(handle) as url, WhepClient(f"{url}/whep") as client:
        assert await client.pull(OFFER) == WhepAnswer(
            answer_sdp=ANSWER, session_url=f"{url}/1", entity_tag=None
        )


async def test_a_counter_offer_is_answered_by_patch() -> None:
    seen: list[tuple[str, str, str | None, str]] = []

    async def handle(request: web.Request) -> web.Response:
        body = await request.text()
        seen.append((request.method, request.path, request.headers.get("If-Match"), body))
        if request.method == "POST":
            headers = SDP | {"Location": "/session/1", "ETag": '"e"'}
            return web.Response(status=406, body=OFFER.encode(), headers=headers)
        return web.Response(status=204 if request.method == "PATCH" else 200)

    async with http_server(handle) as url, WhepClient(f"{url}/whep") as client:
        counter_offer = await client.pull("v=0\r\ns=mine\r\n")
        assert counter_offer == CounterOffer(
            offer_sdp=OFFER, session_url=f"{url}/session/1", entity_tag='"e"'
        )
        await client.answer(ANSWER)
    assert seen == [
        ("POST", "/whep", None, "v=0\r\ns=mine\r\n"),
        ("PATCH", "/session/1", '"e"', ANSWER),
        ("DELETE", "/session/1", None, ""),
    ]


async def test_an_answer_that_nobody_asked_for_is_refused() -> None:
    async with WhepClient("http://127.0.0.1:9/whep") as client:
        with pytest.raises(SignallingError, match="no offer"):
            await client.answer(ANSWER)


async def test_a_hundred_publishings_leave_no_task_behind() -> None:
    tasks_before = len(asyncio.all_tasks())
    async with SignallingServer(CONFIG, accept) as server:
        for _ in range(100):
            async with WhipClient(server.url) as client:
                await client.publish(OFFER)
        assert server.session_count == 0
    assert len(asyncio.all_tasks()) == tasks_before
