"""The nominal frame rate of a stream, told from its first timestamps. Pure."""

from __future__ import annotations

from stream.frame import CLOCK_HZ

DEFAULT_FPS = 25.0
"""For a stream of a single frame."""

FRAMES_NEEDED = 3
"""Two intervals: a frame lost at the very start spoils only one of them."""

_COMMON_FPS = (5, 10, 12, 12.5, 15, 20, 24_000 / 1001, 24, 25, 30_000 / 1001, 30, 48, 50)
_COMMON_FPS_HIGH = (60_000 / 1001, 60, 100, 120_000 / 1001, 120)

_TOLERANCE = 0.035
"""Timestamps rounded to whole milliseconds put 30 fps up to 3 % off."""


class FrameRateGuess:
    """Fed the pts of a stream's first frames (1/90000 s, increasing)."""

    def __init__(self) -> None:
        self._pts: list[int] = []

    @property
    def is_ready(self) -> bool:
        """Whether enough frames were seen."""
        return len(self._pts) >= FRAMES_NEEDED

    def add(self, pts: int) -> None:
        """Take the next frame; those after the first few do not matter."""
        if not self.is_ready:
            self._pts.append(pts)

    @property
    def fps(self) -> float:
        """The rate by the shortest interval so far; a common one when it is as near as jitter."""
        intervals = [b - a for a, b in zip(self._pts, self._pts[1:], strict=False) if b > a]
        if not intervals:
            return DEFAULT_FPS
        measured = max(1.0, min(240.0, CLOCK_HZ / min(intervals)))
        nearest = min((*_COMMON_FPS, *_COMMON_FPS_HIGH), key=lambda fps: abs(fps - measured))
        return nearest if abs(nearest / measured - 1) <= _TOLERANCE else measured
