"""WHEP as one more service of a `SignallingServer`: viewers come in at `/whep`."""

from __future__ import annotations

from typing import Protocol

from stream.http_sessions import HttpSessions, Session
from stream.signalling import HttpConfig, HttpRequest, HttpResponse, Offer
from stream.whep_server import WhepResources


class Viewing(Protocol):
    """Who has streams to view."""

    def has_stream(self, name: str) -> bool:
        """Whether there is a stream of this name, live or waiting for its publisher."""

    async def accept(self, offer: Offer) -> Session:
        """A session that sends the stream. Raises PeerError when the offer cannot be served."""


class WhepService:
    """Answers `/whep/…`; `close` ends every session."""

    def __init__(self, config: HttpConfig, viewing: Viewing, *, max_viewers: int) -> None:
        table = WhepResources(config, is_known=viewing.has_stream, max_viewers=max_viewers)
        self._sessions = HttpSessions(
            table, viewing.accept, accept_timeout_s=config.accept_timeout_s
        )

    @property
    def session_count(self) -> int:
        """Viewing sessions that are open, or about to be."""
        return len(self._sessions)

    async def respond(self, request: HttpRequest) -> HttpResponse | None:
        """The response; None when the path is not below `/whep`."""
        if request.path.split("/")[1:2] != ["whep"]:
            return None
        return await self._sessions.respond(request)

    async def close(self) -> None:
        """End every session."""
        await self._sessions.end_all()
