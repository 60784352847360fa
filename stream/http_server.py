"""A WHIP server: requests from `stream.http_front`, rules from `stream.whip`, and the life of
sessions. The time an answer takes and the number of sessions are bounded.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never, runtime_checkable

from stream.config import is_loopback
from stream.errors import PeerError, SignallingError
from stream.http_front import HttpFront
from stream.signalling import (
    HttpConfig,
    HttpRequest,
    HttpResponse,
    HttpService,
    Offer,
    error,
)
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
    """A WHIP endpoint at `/whip` (stream "live") and `/whip/NAME`, and `services` beside it.

    `accept` turns an offer into a session: PeerError means that the offer cannot be served (422),
    a SignallingError that it could be later (503), anything else it raises is our own fault (500,
    logged), and the server goes on.
    """

    def __init__(
        self,
        config: HttpConfig,
        accept: Callable[[Offer], Awaitable[Session]],
        services: Sequence[HttpService] = (),
    ) -> None:
        """services: asked in this order, before the rules of WHIP."""
        self._config = config
        self._accept = accept
        self._services = tuple(services)
        self._resources = WhipResources(config)
        self._live: dict[str, _Live] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._front = HttpFront(config, self._respond)

    async def __aenter__(self) -> SignallingServer:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """URL of the default endpoint, as a client on this machine reaches it."""
        return f"{self._front.origin}/whip"

    @property
    def session_count(self) -> int:
        """Sessions that are open, or about to be."""
        return len(self._resources)

    async def start(self) -> None:
        """Listen. Raises ConfigError when the address is in use or not ours, or for TLS files."""
        await self._front.start()
        if self._config.access.is_publishing_open and not is_loopback(self._config.host):
            where = self._front.origin.partition("://")[2].replace("127.0.0.1", self._config.host)
            _log.warning("anyone who reaches %s may publish: set a token", where)

    async def stop(self) -> None:
        """Stop listening, then close every session; safe to call twice."""
        await self._front.stop()
        await asyncio.gather(*(self._end(session_id) for session_id in list(self._live)))
        await asyncio.gather(*self._watchers, return_exceptions=True)

    async def _respond(self, asked: HttpRequest, is_gone: Callable[[], bool]) -> HttpResponse:
        for service in self._services:
            try:
                response = await service.respond(asked)
            except Exception as crash:
                _log_crash(f"cannot answer {asked.method} {asked.path}", crash)
                return error(500, "the server failed to answer")
            if response is not None:
                return response
        decision = self._resources.handle(asked)
        match decision:
            case HttpResponse():
                return decision
            case OpenSession():
                return await self._open(decision, is_gone)
            case CloseSession():
                await self._end(decision.session_id)
                return CLOSED
            case AddCandidates():
                return await self._add_candidates(decision)
            case _:
                assert_never(decision)

    async def _open(self, decision: OpenSession, is_gone: Callable[[], bool]) -> HttpResponse:
        session_id, stream = decision.session_id, decision.offer.stream
        try:
            async with asyncio.timeout(self._config.accept_timeout_s):
                session = await self._accept(decision.offer)
        except SignallingError as busy:
            later = ("Retry-After", str(math.ceil(busy.retry_after_s or RETRY_AFTER_S)))
            return self._resources.refused(session_id, error(503, str(busy), later))
        except PeerError as unusable:
            return self._resources.refused(session_id, error(422, str(unusable)))
        except TimeoutError:
            _log.error("stream %s: no answer within %g s", stream, self._config.accept_timeout_s)
            late = error(503, "no answer in time", ("Retry-After", str(RETRY_AFTER_S)))
            return self._resources.refused(session_id, late)
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
        if is_gone():
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


def _log_crash(what: str, crash: Exception) -> None:
    _log.error("%s: %s: %s", what, type(crash).__name__, crash)
    _log.debug("the traceback", exc_info=crash)
