"""The clients against servers that misbehave, are silent, or are not there."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from stream.errors import ConfigError, SignallingError
from stream.http_server import SignallingServer
from stream.sdp_text import MAX_SDP_BYTES
from stream.whip_client import WhipClient
from tests.http_sessions import CONFIG, OFFER, SDP, Acceptor, http_server


@contextlib.asynccontextmanager
async def raw_server(reply: bytes | None) -> AsyncIterator[str]:
    """A server that reads a request and sends these bytes, or stays silent; gives its base URL."""
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            if reply is None:
                await done.wait()
            else:
                writer.write(reply)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        done.set()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("size", [MAX_SDP_BYTES + 1, 50_000_000])
async def test_an_answer_without_end_is_cut_off(size: int) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=201, headers=SDP | {"Location": "/1"})
        await response.prepare(request)
        for _ in range(size // 10_000 + 1):
            await response.write(b"v" * 10_000)
        return response

    async with http_server(handle) as url, WhipClient(url) as client:
        with pytest.raises(SignallingError, match="longer than"):
            await client.publish(OFFER)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: 50\r\n\r\nv=0\r\n",
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 201 Created\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 201 Created\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_a_server_that_speaks_no_http_is_one_line(reply: bytes) -> None:
    async with raw_server(reply) as url, WhipClient(url) as client:
        with pytest.raises(SignallingError, match="no valid HTTP") as caught:
            await client.publish(OFFER)
    assert url in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


async def test_a_silent_server_is_given_up_on() -> None:
    async with raw_server(None) as url, WhipClient(url, timeout_s=0.2) as client:
        with pytest.raises(SignallingError, match=r"did not answer within 0\.2 s"):
            await client.publish(OFFER)


async def test_a_server_that_is_not_there_is_one_line() -> None:
    with socket.socket() as taken:  # bound but not listening: refuses, and nobody else gets it
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/whip"
        async with WhipClient(url) as client:
            with pytest.raises(SignallingError, match="cannot reach") as caught:
                await client.publish(OFFER)
    assert url in str(caught.value)
    assert "refused" in str(caught.value).lower()
    assert caught.value.retry_after_s is None


async def test_a_host_that_does_not_exist_is_one_line() -> None:
    async with WhipClient("http://nowhere.invalid/whip") as client:  # RFC 2606
        with pytest.raises(SignallingError, match=r"nowhere\.invalid"):
            await client.publish(OFFER)


async def test_tls_to_a_server_without_it_is_the_users_to_fix() -> None:
    async with (
        SignallingServer(CONFIG, Acceptor()) as server,
        WhipClient(server.url.replace("http:", "https:")) as client,
    ):
        with pytest.raises(ConfigError, match="no secure connection to https://127"):
            await client.publish(OFFER)


async def test_a_server_that_is_gone_does_not_hold_up_the_end() -> None:
    async with SignallingServer(CONFIG, Acceptor()) as server:
        client = await WhipClient(server.url).__aenter__()
        await client.publish(OFFER)
    assert not await client.delete()
    await client.__aexit__(None, None, None)


async def test_redirects_in_a_circle_end() -> None:
    requests = 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        return web.Response(status=307, headers={"Location": "/"})

    async with http_server(handle) as url, WhipClient(url) as client:
        with pytest.raises(SignallingError, match="more than 3 times"):
            await client.publish(OFFER)
    assert requests == 4


@pytest.mark.parametrize("status", [301, 302, 303, 308])
async def test_other_redirects_are_not_followed(status: int) -> None:
    requests = 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        return web.Response(status=status, headers={"Location": "/new"})

    async with http_server(handle) as url, WhipClient(url) as client:
        with pytest.raises(ConfigError, match=f"use its new URL, {url}/new"):
            await client.publish(OFFER)
    assert requests == 1


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("whip.example/whip", None),
        ("rtmp://host/whip", None),
        ("http://user:pass@host/whip", "t"),
        ("http://host/whip", ""),
        ("http://host/whip", "two words"),
        ("http://host/whip", "a\r\nX: y"),
    ],
)
def test_a_client_that_cannot_work_is_refused_at_once(url: str, token: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        WhipClient(url, token)
    assert "pass" not in str(caught.value)
