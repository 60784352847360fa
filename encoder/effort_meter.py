"""How hard the pictures at hand are to code, on the rung that they travel on. Pure."""

from __future__ import annotations

from collections import deque

from encoder.content_limits import coded_effort
from stream.frame import Size

WINDOW_MS = 4_000.0
"""Over which the mean is taken: longer than one gesture, shorter than most scenes."""

LEAST_MS = 2_000.0
"""So much must be known: the first second after a change of size pays for its keyframe."""


class EffortMeter:
    """Fed every frame; begins anew when the size changes."""

    def __init__(self) -> None:
        self._size: Size | None = None
        self._since_ms = 0.0
        self._efforts: deque[tuple[float, float]] = deque()  # (time, effort)

    def add(self, mse: float, *, size: Size, bitrate_bps: float, now_ms: float) -> None:
        """mse: of the luma. bitrate_bps: what the codec was told."""
        if size != self._size:
            self._size, self._since_ms = size, now_ms
            self._efforts.clear()
        self._efforts.append((now_ms, coded_effort(mse, bitrate_bps)))
        while self._efforts[0][0] <= now_ms - WINDOW_MS:
            self._efforts.popleft()

    @property
    def effort(self) -> tuple[Size, float] | None:
        """The size that was coded and `content_limits.Content.coded`; None while not known."""
        if self._size is None or self._efforts[-1][0] - self._since_ms < LEAST_MS:
            return None
        return self._size, sum(effort for _, effort in self._efforts) / len(self._efforts)
