"""The HTTP edge of WHIP: sockets, timeouts and the life of sessions; the rules are `stream.whip`.

Everything a client can hold open is bounded: the time for a request's head and body, the body's
size, the time an answer takes, and the number of sessions. Bytes that are not HTTP at all get
aiohttp's own 400 and never reach the rules.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, assert_never, runtime_checkable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from stream.config import is_loopback
from stream.errors import ConfigError, PeerError
from stream.sdp_text import MAX_SDP_BYTES
from stream.signalling import HttpConfig, HttpRequest, HttpResponse, Offer, error
from stream.whip import (
    CANDIDATES_ADDED,
    CLOSED,
    RETRY_AFTER_S,
    AddCandidates,
    CloseSession,
    OpenSession,
    WhipResources,
)

__all__ = ["HttpConfig", "Offer", "Session", "SignallingServer", "TrickleSession"]

CLOSE_TIMEOUT_S = 5.0
"""How long one session may take to close before the server goes on without it."""

SHUTDOWN_TIMEOUT_S = 1.0
"""How long `stop` waits for requests in progress."""

_log = logging.getLogger(__name__)


class Session(Protocol):
    """What the server needs of an accepted session.

    `closed` is set when the connection failed or ended; the session then leaves the table.
    `close` is called exactly once for every accepted session, also after `closed` was set.
    """

    @property
    def answer_sdp(self) -> str:
        """The SDP answer, complete with all ICE candidates."""

    @property
    def closed(self) -> asyncio.Event:
        """Set when the session has ended, by itself or by `close`."""

    async def close(self) -> None:
        """Free everything it holds."""


@runtime_checkable
class TrickleSession(Protocol):
    """A session that also takes ICE candidates after the offer; others get 405 for PATCH."""

    async def add_candidates(self, sdp_fragment: str) -> None:
        """Add the candidates of an RFC 8840 fragment; PeerError when they cannot be used (422)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Live:
    session: Session
    watcher: asyncio.Task[None]


class SignallingServer:
    """A WHIP endpoint at `/whip` (stream "live") and `/whip/NAME`.

    `accept` turns an offer into a session: PeerError means that the offer cannot be served (422),
    anything else it raises is our own fault (500, logged), and the server goes on.
    """

    def __init__(self, config: HttpConfig, accept: Callable[[Offer], Awaitable[Session]]) -> None:
        self._config = config
        self._accept = accept
        self._resources = WhipResources(config)
        self._live: dict[str, _Live] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None
        self._port = config.port

    async def __aenter__(self) -> SignallingServer:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """URL of the default endpoint, as a client on this machine reaches it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._config.host, self._config.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}/whip"

    @property
    def session_count(self) -> int:
        """Sessions that are open, or about to be."""
        return len(self._resources)

    async def start(self) -> None:
        """Listen. Raises ConfigError when the address is in use or not ours."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(
            app,
            access_log=None,
            logger=_wire_log,
            # aiohttp applies it to a new connection too, so it bounds the time for the head.
            keepalive_timeout=self._config.request_timeout_s,
            lingering_time=SHUTDOWN_TIMEOUT_S,
            auto_decompress=False,
            shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._config.host, self._config.port).start()
        except OSError as refused:
            await runner.cleanup()
            raise ConfigError(
                f"cannot listen on {self._config.host}:{self._config.port} ({_reason(refused)}): "
                "stop what uses it, or choose another HOST:PORT"
            ) from refused
        self._runner = runner
        self._port = int(runner.addresses[0][1])
        if self._config.token is None and not is_loopback(self._config.host):
            _log.warning(
                "anyone who reaches %s:%d may publish: set a token", self._config.host, self._port
            )

    async def stop(self) -> None:
        """Stop listening, then close every session; safe to call twice."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        await asyncio.gather(*(self._end(session_id) for session_id in list(self._live)))
        await asyncio.gather(*self._watchers, return_exceptions=True)

    async def _handle(self, request: web.Request) -> web.Response:
        response = self._resources.with_cors(await self._respond(request))
        reply = web.Response(
            status=response.status,
            # Encoded here: given text, aiohttp would add a charset to the type of SDP.
            body=response.body.encode(),
            headers=list(response.headers),
        )
        if response.status in (408, 413):  # what the client still sends is not worth reading
            reply.force_close()
        return reply

    async def _respond(self, request: web.Request) -> HttpResponse:
        try:
            async with asyncio.timeout(self._config.request_timeout_s):
                body = await _read_body(request)
        except TimeoutError:
            return error(408, f"no whole request within {self._config.request_timeout_s:g} s")
        except (web.RequestPayloadError, HttpProcessingError):
            return error(400, "the request body is not valid HTTP")
        decision = self._resources.handle(
            HttpRequest(
                method=request.method,
                path=request.rel_url.raw_path,
                headers={
                    name.lower(): ", ".join(request.headers.getall(name))
                    for name in request.headers
                },
                body=body,
            )
        )
        match decision:
            case HttpResponse():
                return decision
            case OpenSession():
                return await self._open(decision, request)
            case CloseSession():
                await self._end(decision.session_id)
                return CLOSED
            case AddCandidates():
                return await self._add_candidates(decision)
            case _:
                assert_never(decision)

    async def _open(self, decision: OpenSession, request: web.Request) -> HttpResponse:
        session_id, stream = decision.session_id, decision.offer.stream
        try:
            async with asyncio.timeout(self._config.accept_timeout_s):
                session = await self._accept(decision.offer)
        except PeerError as unusable:
            return self._resources.refused(session_id, error(422, str(unusable)))
        except TimeoutError:
            _log.error("stream %s: no answer within %g s", stream, self._config.accept_timeout_s)
            busy = error(503, "no answer in time", ("Retry-After", str(RETRY_AFTER_S)))
            return self._resources.refused(session_id, busy)
        except Exception as crash:
            _log_crash(f"stream {stream}: cannot answer the offer", crash)
            failed = error(500, "the server failed to answer the offer")
            return self._resources.refused(session_id, failed)
        except asyncio.CancelledError:  # the server is stopping
            self._resources.forget(session_id)
            raise
        watcher = asyncio.create_task(self._watch(session_id, stream, session))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        self._live[session_id] = _Live(session=session, watcher=watcher)
        response = self._resources.opened(
            session_id, session.answer_sdp, takes_candidates=isinstance(session, TrickleSession)
        )
        if request.transport is None or request.transport.is_closing():
            # Nobody will get the URL, so nobody could end this session.
            await self._end(session_id)
            return error(408, "the client went away before it was answered")
        if decision.replaces is not None:
            _log.info("stream %s: a new session takes over", stream)
            await self._end(decision.replaces)
        return response

    async def _add_candidates(self, decision: AddCandidates) -> HttpResponse:
        session = self._live[decision.session_id].session
        try:
            if not isinstance(session, TrickleSession):
                raise PeerError("this session takes no candidates")
            await session.add_candidates(decision.sdp_fragment)
        except PeerError as unusable:
            return error(422, str(unusable))
        except Exception as crash:
            _log_crash("cannot add the client's candidates", crash)
            return error(500, "the server failed to add the candidates")
        return CANDIDATES_ADDED

    async def _watch(self, session_id: str, stream: str, session: Session) -> None:
        await session.closed.wait()
        _log.info("stream %s: the session ended", stream)
        await self._end(session_id)

    async def _end(self, session_id: str) -> None:
        """Take a session out of the table and close it; the first of several callers does it."""
        self._resources.forget(session_id)
        live = self._live.pop(session_id, None)
        if live is None:
            return
        if live.watcher is not asyncio.current_task():
            live.watcher.cancel()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await live.session.close()
        except Exception as crash:
            _log_crash("cannot close a session", crash)


async def _read_body(request: web.Request) -> bytes:
    """The body, or as much of it as shows that it is too long."""
    body = bytearray()
    while len(body) <= MAX_SDP_BYTES:
        chunk = await request.content.read(MAX_SDP_BYTES + 1 - len(body))
        if not chunk:
            break
        body += chunk
    return bytes(body)


def _reason(refused: OSError) -> str:
    # The text of asyncio repeats the address in its own words; the system's is enough.
    return (refused.strerror or str(refused)).rpartition(": ")[2]


def _log_crash(what: str, crash: Exception) -> None:
    _log.error("%s: %s: %s", what, type(crash).__name__, crash)
    _log.debug("the traceback", exc_info=crash)


def _is_about_us(record: logging.LogRecord) -> bool:
    """Drops aiohttp's traceback for each request that is not HTTP: noise on a public network."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_wire_log = logging.getLogger(f"{__name__}.wire")
_wire_log.addFilter(_is_about_us)
