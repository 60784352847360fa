"""One stream of a receiver: its publisher, its pipeline and its viewers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from decoder.pipeline import Pipeline
from decoder.viewing.sessions import StreamViews
from stream.peer import ReceivingPeer


@dataclass(slots=True, kw_only=True)
class ReceivedStream:
    """peer: of the current publisher, or the last one."""

    pipeline: Pipeline
    peer: ReceivingPeer
    views: StreamViews

    @property
    def is_publishing(self) -> bool:
        """Whether a publisher is connected."""
        return self.peer.connected.is_set() and not self.peer.closed.is_set()

    async def close(self) -> None:
        """Send publisher and viewers away, and finish the outputs."""
        await self.peer.close()
        await self.views.close()
        await asyncio.to_thread(self.pipeline.close)


class WhipSession:
    """One publisher, as the signalling server sees it."""

    def __init__(
        self, peer: ReceivingPeer, answer_sdp: str, *, on_close: Callable[[], None]
    ) -> None:
        self._peer, self._on_close = peer, on_close
        self.answer_sdp = answer_sdp
        self.closed = peer.closed

    async def close(self) -> None:
        """End the session."""
        await self._peer.settle()
        self._on_close()
        await self._peer.close()
