"""Spreads weight deltas over time, inside their bit budget. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

PIECE_OVERHEAD_BYTES = 66
"""Of a message on a data channel: SCTP header 12 and DATA chunk 16, DTLS 29, padding, and a share
of the acknowledgements that come back do not count: they go the other way."""


class DeltaPacing:
    """One delta at a time; its pieces go out as the budget allows, never in a burst."""

    def __init__(self, budget_bps: int) -> None:
        self._budget_bps = budget_bps
        self._pieces: deque[bytes] = deque()
        self._next_ms = 0.0
        self.wire_bytes = 0
        """Of all pieces so far, with what carries them."""

    @property
    def is_sending(self) -> bool:
        """Whether there are pieces left."""
        return bool(self._pieces)

    @property
    def reserved_bps(self) -> int:
        """What the video leaves for deltas at the moment."""
        return self._budget_bps if self._pieces else 0

    def start(self, pieces: Sequence[bytes], *, now_ms: float) -> None:
        """Send these from now on, instead of what is left of the delta before."""
        self._pieces = deque(pieces)
        # The video gives way first, so that both together stay within the rate.
        self._next_ms = max(self._next_ms, now_ms) + self._lasts_ms(len(pieces[0]))

    def stop(self) -> None:
        """Leave the rest out."""
        self._pieces.clear()

    def due(self, *, now_ms: float) -> list[bytes]:
        """The pieces that are to be sent now."""
        due = []
        while self._pieces and self._next_ms <= now_ms:
            piece = self._pieces.popleft()
            self.wire_bytes += len(piece) + PIECE_OVERHEAD_BYTES
            due.append(piece)
            if self._pieces:
                self._next_ms += self._lasts_ms(len(self._pieces[0]))
        return due

    def _lasts_ms(self, size_bytes: int) -> float:
        return 8000 * (size_bytes + PIECE_OVERHEAD_BYTES) / self._budget_bps
