"""A WHIP server: requests from `stream.http_front`, sessions by `stream.http_sessions`, and other
services at the same address.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from stream.config import is_loopback
from stream.http_front import HttpFront
from stream.http_sessions import (
    CounterOfferSession,
    HttpSessions,
    Session,
    TrickleSession,
    log_crash,
)
from stream.signalling import (
    HttpConfig,
    HttpRequest,
    HttpResponse,
    HttpService,
    Offer,
    error,
)
from stream.whip import WhipResources

__all__ = [
    "CounterOfferSession",
    "HttpConfig",
    "Offer",
    "Session",
    "SignallingServer",
    "TrickleSession",
]

_log = logging.getLogger(__name__)


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
        self._sessions = HttpSessions(
            WhipResources(config), accept, accept_timeout_s=config.accept_timeout_s
        )
        self._services = tuple(services)
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
        return len(self._sessions)

    async def start(self) -> None:
        """Listen. Raises ConfigError when the address is in use or not ours, or for TLS files."""
        await self._front.start()
        if self._config.access.is_publishing_open and not is_loopback(self._config.host):
            where = self._front.origin.partition("://")[2].replace("127.0.0.1", self._config.host)
            _log.warning("anyone who reaches %s may publish: set a token", where)

    async def stop(self) -> None:
        """Stop listening, then close every session; safe to call twice."""
        await self._front.stop()
        await self._sessions.end_all()

    async def _respond(self, asked: HttpRequest, is_gone: Callable[[], bool]) -> HttpResponse:
        for service in self._services:
            try:
                response = await service.respond(asked)
            except Exception as crash:
                log_crash(f"cannot answer {asked.method} {asked.path}", crash)
                return error(500, "the server failed to answer")
            if response is not None:
                return response
        return await self._sessions.respond(asked, is_gone=is_gone)
