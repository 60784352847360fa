"""Fewer frames a second, evenly. Pure."""

from __future__ import annotations

import math

from stream.errors import ConfigError
from stream.frame import CLOCK_HZ


class FrameRateLimiter:
    """Says which frames to keep so that at most `fps` a second remain; never asks for more.

    Time is cut into slots of 1/fps, and the first frame in each slot is kept. A frame counts as up
    to half its own interval later than it is: so frames lie in the middle between two boundaries,
    and neither jitter nor rounded timestamps move one into the wrong slot.
    """

    def __init__(self, fps: float) -> None:
        """Raises ConfigError when `fps` is not a positive number."""
        if not (math.isfinite(fps) and fps > 0):
            raise ConfigError(f"fps must be a positive number, not {fps}")
        self._fps = fps
        self._first_pts: int | None = None
        self._previous_pts = 0
        self._last_slot = -1

    def keep(self, pts: int) -> bool:
        """Whether the frame at `pts` (1/90000 s, increasing) is to be kept."""
        if self._first_pts is None:
            self._first_pts = self._previous_pts = pts
        interval = (pts - self._previous_pts) * self._fps / CLOCK_HZ  # in slots, as is `position`
        position = (pts - self._first_pts) * self._fps / CLOCK_HZ
        self._previous_pts = pts
        slot = math.floor(position + min(interval, 1.0) / 2)
        if slot <= self._last_slot:
            return False
        self._last_slot = slot
        return True
