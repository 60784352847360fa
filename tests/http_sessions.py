"""Small real sessions for tests of the HTTP edge, and what those tests have in common."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
from aiohttp import web

from stream.errors import PeerError
from stream.http_server import HttpConfig, Offer, Session, SignallingServer

OFFER = "v=0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP 96\r\na=ice-ufrag:EsAw\r\n"
SDP = {"Content-Type": "application/sdp"}
CONFIG = HttpConfig(host="127.0.0.1", port=0, request_timeout_s=0.4, accept_timeout_s=0.4)


class EchoSession:
    """Answers with the offer's own text; counts how often it was closed."""

    def __init__(self, offer: Offer) -> None:
        self.stream = offer.stream
        self.answer_sdp = offer.sdp
        self.closed = asyncio.Event()
        self.close_calls = 0

    async def close(self) -> None:
        self.close_calls += 1
        await asyncio.sleep(0)  # as a real connection, it gives way while it closes
        self.closed.set()


class TrickleEchoSession(EchoSession):
    """One that takes candidates."""

    def __init__(self, offer: Offer) -> None:
        super().__init__(offer)
        self.fragments: list[str] = []

    async def add_candidates(self, sdp_fragment: str) -> None:
        if "typ prflx" in sdp_fragment:
            raise PeerError("only host candidates\nare of use here")
        if "crash" in sdp_fragment:
            raise KeyError("candidate")
        self.fragments.append(sdp_fragment)


class Acceptor:
    """Accepts every offer, and remembers the sessions."""

    def __init__(self, kind: type[EchoSession] = EchoSession) -> None:
        self.kind = kind
        self.sessions: list[EchoSession] = []

    async def __call__(self, offer: Offer) -> Session:
        session = self.kind(offer)
        self.sessions.append(session)
        return session


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait for what the server does in its own tasks."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110  # the server gives no event for it
            await asyncio.sleep(0.005)


async def assert_serves(server: SignallingServer, http: aiohttp.ClientSession) -> None:
    """The server still opens and closes sessions."""
    async with http.post(f"{server.url}/alive", data=OFFER, headers=SDP) as response:
        assert response.status == 201
        location = response.headers["Location"]
    async with http.delete(server.url.removesuffix("/whip") + location) as response:
        assert response.status == 200


async def never_answers(offer: Offer) -> Session:
    await asyncio.Event().wait()
    raise AssertionError


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def http_server(handler: Handler) -> AsyncIterator[str]:
    """A server that answers every request by `handler`; gives its base URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
