"""The HTTP edge against slow, broken and many clients at once, on real sockets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from stream.http_server import Offer, Session, SignallingServer
from tests.http_sessions import (
    CONFIG,
    OFFER,
    SDP,
    Acceptor,
    assert_serves,
    eventually,
    never_answers,
)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def send_raw(server: SignallingServer, data: bytes, *, end: bool = False) -> bytes:
    """Write bytes, return everything the server says until it hangs up."""
    port = int(server.url.rpartition(":")[2].partition("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        if end:
            writer.write_eof()
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("size_is_announced", [True, False])
async def test_a_body_without_end_is_cut_off(
    http: aiohttp.ClientSession, size_is_announced: bool
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"v" * 1000

    data = b"v" * 1_000_000 if size_is_announced else chunks()
    async with SignallingServer(CONFIG, Acceptor()) as server:
        try:
            async with http.post(server.url, data=data, headers=SDP) as response:
                assert response.status == 413
        except aiohttp.ClientConnectionError:
            pass  # the server hung up while we were still writing
        await assert_serves(server, http)


async def test_a_client_that_never_finishes_its_request_is_dropped() -> None:
    async with SignallingServer(CONFIG, Acceptor()) as server, asyncio.timeout(10):
        # The whole wait is CONFIG.request_timeout_s, and for the body one more second at most.
        silent, half_a_head, half_a_body = await asyncio.gather(
            send_raw(server, b""),
            send_raw(server, b"POST /whip HTTP/1.1\r\nHost: a\r\nX: "),
            send_raw(
                server,
                b"POST /whip HTTP/1.1\r\nHost: a\r\nContent-Type: application/sdp\r\n"
                b"Content-Length: 100\r\n\r\nv=0\r\n",
            ),
        )
    assert (silent, half_a_head) == (b"", b"")
    assert half_a_body.startswith(b"HTTP/1.1 408 ")


async def test_a_head_that_drips_in_forever_is_dropped(http: aiohttp.ClientSession) -> None:
    async with SignallingServer(CONFIG, Acceptor()) as server:
        port = int(server.url.rpartition(":")[2].partition("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /whip HTTP/1.1\r\n")

        async def drip() -> None:
            while True:
                writer.write(b"X: y\r\n")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        try:
            async with asyncio.timeout(5):
                assert await reader.read() == b""
        except ConnectionResetError:
            pass  # also a way of being dropped
        finally:
            dripping.cancel()
            writer.close()
        await assert_serves(server, http)


GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the start of TLS
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /whip HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"POST /whip HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nv=0\r\n",
    b"POST /whip HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /whip HTTP/1.1\r\nHost: a\r\nNo colon here\r\n\r\n",
    b"POST /whip HTTP/1.1\r\nHost: \x00\xff\r\n\r\n",
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    b"GET http://[broken HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /whip HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\r\n" * 1000,
    b"\x00" * 70_000,
]


async def test_garbage_on_the_wire_never_stops_the_server(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    rng = random.Random(7)
    noise = [rng.randbytes(rng.randrange(1, 2000)) for _ in range(20)]
    cut = [whole[: rng.randrange(len(whole))] for whole in GARBAGE]
    async with SignallingServer(CONFIG, Acceptor()) as server:
        await asyncio.gather(*(send_raw(server, data, end=True) for data in noise + cut))
        replies = await asyncio.gather(*(send_raw(server, data) for data in GARBAGE))
        assert all(reply == b"" or b" 4" in reply.split(b"\r\n")[0] for reply in replies)
        assert replies[1].startswith(b"HTTP/1.0 400 ")
        await assert_serves(server, http)
    assert "Traceback" not in caplog.text


async def test_a_client_that_leaves_before_its_answer_leaves_no_session() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()
    accept = Acceptor()

    async def accept_late(offer: Offer) -> Session:
        asked.set()
        await gone.wait()
        return await accept(offer)

    async with SignallingServer(replace(CONFIG, accept_timeout_s=5), accept_late) as server:
        port = int(server.url.rpartition(":")[2].partition("/")[0])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /whip HTTP/1.1\r\nHost: a\r\nContent-Length: {len(OFFER)}\r\n"
        writer.write(f"{head}Content-Type: application/sdp\r\n\r\n{OFFER}".encode())
        await asked.wait()
        writer.transport.abort()
        await asyncio.sleep(0.05)  # nothing tells a test that the other side saw the reset
        gone.set()
        await eventually(lambda: server.session_count == 0)
        await eventually(lambda: accept.sessions[0].close_calls == 1)


async def test_forty_sessions_at_once_come_and_go_without_a_trace() -> None:
    accept = Acceptor()
    tasks_before = len(asyncio.all_tasks())
    async with SignallingServer(replace(CONFIG, max_sessions=40), accept) as server:

        async def publish_and_end(number: int) -> int:
            async with (
                aiohttp.ClientSession() as http,
                http.post(f"{server.url}/cam{number}", data=OFFER, headers=SDP) as response,
            ):
                location = response.headers["Location"]
                async with http.delete(server.url.removesuffix("/whip") + location) as deleted:
                    return deleted.status

        assert await asyncio.gather(*map(publish_and_end, range(40))) == [200] * 40
        assert server.session_count == 0
        assert [session.close_calls for session in accept.sessions] == [1] * 40
    assert len(asyncio.all_tasks()) == tasks_before


async def test_forty_clients_after_one_name_get_one_session() -> None:
    accept = Acceptor()
    async with SignallingServer(CONFIG, accept) as server, aiohttp.ClientSession() as http:

        async def publish() -> int:
            async with http.post(server.url, data=OFFER, headers=SDP) as response:
                return response.status

        statuses = await asyncio.gather(*(publish() for _ in range(40)))
        assert sorted(statuses) == [201] + [409] * 39
        assert len(accept.sessions) == 1


async def test_stopping_does_not_wait_for_an_answer_that_never_comes() -> None:
    async with asyncio.timeout(10):
        server = SignallingServer(replace(CONFIG, accept_timeout_s=60), never_answers)
        await server.start()
        head = f"POST /whip HTTP/1.1\r\nHost: a\r\nContent-Length: {len(OFFER)}\r\n"
        request = f"{head}Content-Type: application/sdp\r\n\r\n{OFFER}".encode()
        asking = asyncio.create_task(send_raw(server, request))
        await eventually(lambda: server.session_count == 1)
        await server.stop()
        assert server.session_count == 0
        await asking
