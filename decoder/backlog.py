"""When restoration cannot keep up: which frames to skip, so that delay does not build up. Pure.

A burst (after a retransmission, or while a sender starts) is worked off without loss, as long as
that makes progress. A backlog that stands is not worked off: from then on only the newest frames
are restored, until there has been nothing to skip for a while.
"""

from __future__ import annotations

import math

WINDOW_MS = 300.0
"""The shortest wait in a window tells a standing backlog from a burst, as in RFC 8289 (CoDel)."""

STANDING_MS = 100.0
"""Below it a backlog is not worth losing frames for."""

PROGRESS = 0.95
"""A backlog shrinks when its shortest wait falls below this share from one window to the next."""

RECOVERY_MS = 2000.0
"""Without a skipped frame for this long, restoration keeps up again."""

KEPT_FRAMES = 1
"""Frames that may wait behind the one to restore while it is behind: jitter must not starve it."""


class Backlog:
    """Asked before each frame is restored; time never goes backwards."""

    def __init__(self) -> None:
        self._window_ms: float | None = None
        self._shortest_ms = math.inf  # in this window
        self._shortest_before_ms = 0.0  # in the one before
        self._is_behind = False
        self._skipped_ms = 0.0

    @property
    def is_behind(self) -> bool:
        """Whether frames are being skipped."""
        return self._is_behind

    def excess(
        self, *, wait_ms: float, waiting: int, now_ms: float, has_overflowed: bool = False
    ) -> int:
        """How many frames to skip, the oldest first.

        wait_ms: since the oldest frame came; waiting: how many wait behind it; has_overflowed:
        whether the buffer has dropped some since the last call.
        """
        if self._window_ms is None:
            self._window_ms = now_ms
        if now_ms - self._window_ms >= WINDOW_MS:
            has_overflowed |= self._stands()
            self._window_ms = now_ms
            self._shortest_before_ms, self._shortest_ms = self._shortest_ms, math.inf
        self._shortest_ms = min(self._shortest_ms, wait_ms)
        if has_overflowed:
            self._is_behind, self._skipped_ms = True, now_ms
        if not self._is_behind:
            return 0
        excess = max(0, waiting - KEPT_FRAMES)
        if excess:
            self._skipped_ms = now_ms
        elif now_ms - self._skipped_ms >= RECOVERY_MS:
            self._is_behind = False
        return excess

    def _stands(self) -> bool:
        if self._shortest_before_ms <= STANDING_MS:
            return False  # it has only just built up, and may go as quickly
        return self._shortest_ms > max(STANDING_MS, PROGRESS * self._shortest_before_ms)
