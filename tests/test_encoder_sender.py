"""What the sender does when the endpoint answers in every way it can; a real receiving peer."""

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from aiohttp import web

from encoder.config import SenderConfig
from encoder.sender import run
from stream.errors import ConfigError
from stream.frame import Size
from stream.peer import NetworkScope, ReceivingPeer
from stream.weight_delta import read_header
from tests.http_sessions import http_server
from tests.live_peers import until
from tests.weight_deltas import BASE, profile_of, state


@dataclass(kw_only=True)
class _Endpoint:
    """A WHIP endpoint that answers its POST requests one after another as the test says."""

    answers: list[int]
    """Status of each POST; 201 accepts. The last one stands for all further ones."""

    posts: int = 0
    deletes: int = 0
    peers: list[ReceivingPeer] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "DELETE":
            self.deletes += 1
            return web.Response()
        status = self.answers[min(self.posts, len(self.answers) - 1)]
        self.posts += 1
        if status != 201:
            return web.Response(status=status, text="not now\n")
        peer = ReceivingPeer(NetworkScope.LOOPBACK)
        self.peers.append(peer)
        answer = await peer.answer(await request.text())
        headers = {"Location": "/session", "Content-Type": "application/sdp"}
        return web.Response(status=201, body=answer.encode(), headers=headers)

    async def close(self) -> None:
        await asyncio.gather(*(peer.close() for peer in self.peers))


def _config(base_url: str, *, source: str = "test:?size=320x180") -> SenderConfig:
    return SenderConfig(source, whip=f"{base_url}/whip", size=Size(width=160, height=90))


async def test_a_source_that_ends_ends_the_session_with_a_delete() -> None:
    endpoint = _Endpoint(answers=[201])
    async with http_server(endpoint.handle) as base_url:
        await run(_config(base_url, source="test:0.4?size=320x180"))
        assert (endpoint.posts, endpoint.deletes) == (1, 1)
        frames = [await endpoint.peers[0].video.get_async() for _ in range(5)]
        await endpoint.close()
    assert {str(frame.size) for frame in frames} == {"160x90"}


async def test_a_busy_endpoint_is_tried_again_until_it_has_room() -> None:
    endpoint = _Endpoint(answers=[503, 500, 201])
    async with http_server(endpoint.handle) as base_url:
        await run(_config(base_url, source="test:0.2?size=320x180"))
        assert endpoint.posts == 3
        await endpoint.close()


@pytest.mark.parametrize("status", [401, 404])
async def test_what_the_user_must_correct_ends_the_sender_at_once(status: int) -> None:
    endpoint = _Endpoint(answers=[status])
    async with http_server(endpoint.handle) as base_url:
        with pytest.raises(ConfigError):
            await run(_config(base_url))
    assert endpoint.posts == 1


async def test_once_it_was_connected_even_a_404_is_only_a_reason_to_try_again() -> None:
    endpoint = _Endpoint(answers=[201, 404, 201])
    async with http_server(endpoint.handle) as base_url:
        sending = asyncio.create_task(run(_config(base_url)))
        await until(lambda: bool(endpoint.peers) and endpoint.peers[0].connected.is_set())
        await endpoint.peers[0].close()
        await until(lambda: len(endpoint.peers) == 2 and endpoint.peers[1].connected.is_set())
        await endpoint.peers[1].video.get_async()
        sending.cancel()
        await sending
        await until(lambda: endpoint.deletes >= 1)
        await endpoint.close()
    assert endpoint.posts == 3


async def test_profiles_are_sent_beside_the_pictures_and_again_to_a_receiver_that_starts_anew(
    tmp_path: Path,
) -> None:
    path = tmp_path / "show.profile"
    path.write_bytes(profile_of(state(5)))
    endpoint = _Endpoint(answers=[201])
    async with http_server(endpoint.handle) as base_url:
        config = replace(_config(base_url), profiles=(path,), adapt_budget_bps=37_000)
        sending = asyncio.create_task(run(config))
        async with asyncio.timeout(60):
            for session in range(2):
                while len(endpoint.peers) <= session:  # noqa: ASYNC110 (no event for it)
                    await asyncio.sleep(0.02)
                peer = endpoint.peers[session]
                delta = await peer.weights.deltas.get_async()
                header = read_header(delta)
                assert header.is_state
                assert (header.sequence, header.scene) == (session, None)
                assert header.base_sha256 == BASE
                await peer.video.get_async()
                assert peer.stats().weight_bytes_received > len(delta)
                await peer.close()
        sending.cancel()
        await sending
        await endpoint.close()


async def test_a_profile_that_cannot_be_read_ends_the_sender_before_it_connects(
    tmp_path: Path,
) -> None:
    endpoint = _Endpoint(answers=[201])
    async with http_server(endpoint.handle) as base_url:
        config = replace(_config(base_url), profiles=(tmp_path / "none.profile",))
        with pytest.raises(ConfigError, match=r"cannot read profile .*none\.profile"):
            await run(config)
    assert endpoint.posts == 0


async def test_a_cancelled_sender_ends_its_session_and_leaves_nothing_behind() -> None:
    endpoint = _Endpoint(answers=[201])
    async with http_server(endpoint.handle) as base_url:
        before = asyncio.all_tasks()
        sending = asyncio.create_task(run(_config(base_url)))
        await until(lambda: bool(endpoint.peers) and endpoint.peers[0].connected.is_set())
        sending.cancel()
        await sending
        await endpoint.close()
        await until(lambda: asyncio.all_tasks() <= before)
    assert endpoint.deletes == 1
