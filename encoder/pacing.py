"""When a frame of a source without a clock of its own (a file) is due. Pure."""

from __future__ import annotations

from stream.frame import CLOCK_HZ

MAX_LATE_MS = 1000.0
"""Lateness after which catching up is given up: the clock starts anew at the late frame."""

MAX_JUMP_MS = 10_000.0
"""A step of pts beyond this, or backwards, is a jump in the source, not a pause to wait out."""

CATCH_UP_SPEED = 2.0
"""How much faster than its own speed a late source may run: late frames leave evenly, no burst."""

_TICKS_PER_MS = CLOCK_HZ / 1000


class Pacer:
    """Plays a source at the speed of its timestamps.

    Late by less than MAX_LATE_MS (a slow disk, a stalled CPU): catches up at CATCH_UP_SPEED. Later,
    or when pts jump: starts its clock anew, without waiting and without hurrying.
    """

    def __init__(self) -> None:
        self._anchor_ms = 0.0
        self._anchor_pts = 0
        self._last_pts: int | None = None
        self._last_release_ms = 0.0

    def delay_ms(self, pts: int, now_ms: float) -> float:
        """How long to wait at `now_ms` (monotonic) before the item at `pts` (1/90000 s) may go.

        Assumes that the caller waits that long before it asks again. Never negative.
        """
        if self._last_pts is None:
            return self._restart(pts, now_ms)
        step_ms = (pts - self._last_pts) / _TICKS_PER_MS
        due_ms = self._anchor_ms + (pts - self._anchor_pts) / _TICKS_PER_MS
        if abs(step_ms) > MAX_JUMP_MS or step_ms < -MAX_LATE_MS or now_ms - due_ms > MAX_LATE_MS:
            return self._restart(pts, now_ms)
        soonest_ms = self._last_release_ms + max(0.0, step_ms) / CATCH_UP_SPEED
        return self._release(pts, max(due_ms, soonest_ms, now_ms), now_ms)

    def _restart(self, pts: int, now_ms: float) -> float:
        self._anchor_ms, self._anchor_pts = now_ms, pts
        return self._release(pts, now_ms, now_ms)

    def _release(self, pts: int, release_ms: float, now_ms: float) -> float:
        self._last_pts = pts
        self._last_release_ms = release_ms
        return release_ms - now_ms
