"""The life of WHIP and WHEP sessions: opened by an offer, watched, and ended exactly once."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, assert_never, runtime_checkable

from stream.errors import PeerError, SignallingError
from stream.session_table import (
    CANDIDATES_ADDED,
    CLOSED,
    RETRY_AFTER_S,
    AddCandidates,
    CloseSession,
    OpenSession,
    SessionTable,
    TakeAnswer,
)
from stream.signalling import HttpRequest, HttpResponse, Offer, error

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


@runtime_checkable
class CounterOfferSession(Protocol):
    """A session whose `answer_sdp` is an offer of our own, since the client's could not be used."""

    async def take_answer(self, sdp: str) -> None:
        """Take the client's answer; PeerError when it cannot be used (422)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Live:
    session: Session
    watcher: asyncio.Task[None]


class HttpSessions:
    """Carries out what a `SessionTable` decides, with sessions that `accept` makes of offers.

    PeerError from `accept` means that the offer cannot be served (422), a SignallingError that it
    could be later (503), anything else is our own fault (500, logged), and the server goes on.
    """

    def __init__(
        self,
        table: SessionTable,
        accept: Callable[[Offer], Awaitable[Session]],
        *,
        accept_timeout_s: float,
    ) -> None:
        self._table = table
        self._accept = accept
        self._accept_timeout_s = accept_timeout_s
        self._live: dict[str, _Live] = {}
        self._watchers: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Sessions that are open, or about to be."""
        return len(self._table)

    async def respond(
        self, request: HttpRequest, *, is_gone: Callable[[], bool] = lambda: False
    ) -> HttpResponse:
        """The response to a request. is_gone: whether the client closed the connection."""
        decision = self._table.handle(request)
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
            case TakeAnswer():
                return await self._take_answer(decision)
            case _:
                assert_never(decision)

    async def end_all(self) -> None:
        """Close every session."""
        await asyncio.gather(*(self._end(session_id) for session_id in list(self._live)))
        await asyncio.gather(*self._watchers, return_exceptions=True)

    async def _open(self, decision: OpenSession, is_gone: Callable[[], bool]) -> HttpResponse:
        session_id, stream = decision.session_id, decision.offer.stream
        try:
            async with asyncio.timeout(self._accept_timeout_s):
                session = await self._accept(decision.offer)
        except SignallingError as busy:
            later = ("Retry-After", str(math.ceil(busy.retry_after_s or RETRY_AFTER_S)))
            return self._table.refused(session_id, error(503, str(busy), later))
        except PeerError as unusable:
            return self._table.refused(session_id, error(422, str(unusable)))
        except TimeoutError:
            _log.error("stream %s: no answer within %g s", stream, self._accept_timeout_s)
            late = error(503, "no answer in time", ("Retry-After", str(RETRY_AFTER_S)))
            return self._table.refused(session_id, late)
        except Exception as crash:
            log_crash(f"stream {stream}: cannot answer the offer", crash)
            failed = error(500, "the server failed to answer the offer")
            return self._table.refused(session_id, failed)
        except asyncio.CancelledError:  # the server is stopping
            self._table.forget(session_id)
            raise
        watcher = asyncio.create_task(self._watch(session_id, stream, session))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        self._live[session_id] = _Live(session=session, watcher=watcher)
        if isinstance(session, CounterOfferSession):
            response = self._table.counter_offered(session_id, session.answer_sdp)
        else:
            response = self._table.opened(
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
        if not isinstance(session, TrickleSession):
            return error(422, "this session takes no candidates")
        refusal = await _refusal(
            session.add_candidates(decision.sdp_fragment), "add the client's candidates"
        )
        return refusal or CANDIDATES_ADDED

    async def _take_answer(self, decision: TakeAnswer) -> HttpResponse:
        session = self._live[decision.session_id].session
        if not isinstance(session, CounterOfferSession):
            return error(422, "this session takes no answer")
        refusal = await _refusal(
            session.take_answer(decision.answer_sdp), "take the client's answer"
        )
        return refusal or self._table.answered(decision.session_id)

    async def _watch(self, session_id: str, stream: str, session: Session) -> None:
        await session.closed.wait()
        _log.info("stream %s: the session ended", stream)
        await self._end(session_id)

    async def _end(self, session_id: str) -> None:
        """Take a session out of the table and close it; the first of several callers does it."""
        self._table.forget(session_id)
        live = self._live.pop(session_id, None)
        if live is None:
            return
        if live.watcher is not asyncio.current_task():
            live.watcher.cancel()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await live.session.close()
        except Exception as crash:
            log_crash("cannot close a session", crash)


async def _refusal(work: Awaitable[None], what: str) -> HttpResponse | None:
    """What the client is told when `work`, which is to `what`, fails."""
    try:
        await work
    except PeerError as unusable:
        return error(422, str(unusable))
    except Exception as crash:
        log_crash(f"cannot {what}", crash)
        return error(500, f"the server failed to {what}")
    return None


def log_crash(what: str, crash: Exception) -> None:
    """Tell the operator about a defect that a client ran into."""
    _log.error("%s: %s: %s", what, type(crash).__name__, crash)
    _log.debug("the traceback", exc_info=crash)
