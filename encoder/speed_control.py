"""How much faster than planned a codec must be on this machine, at this moment. Pure.

Presets are chosen for the picture rate on a common machine (`preset_for` of each codec). On a
slower or busier one coding would fall behind and pictures would be left out, which costs more than
the quality of a faster preset. Each change costs a keyframe, so it is faster soon and slower late.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import fmean

BUSY_SHARE = 0.75
"""Of the frame interval, spent in the codec on average: above it a faster preset is taken."""

IDLE_SHARE = 0.3
"""Below it a slower one is tried: a step takes 1.2 to 1.7 times as long."""

WINDOW_FRAMES, IDLE_FRAMES = 25, 250
"""Over which the mean is taken to become faster, and slower."""

SETTLING_MS = 2_500.0
"""Until the last step has taken effect and can be judged: its keyframe may wait for room."""

LONGEST_TRY_MS = 600_000.0
MOST_STEPS = 5


class SpeedControl:
    """Fed the time that each frame took, gives the number of steps from the planned preset."""

    def __init__(self, *, frame_interval_ms: float) -> None:
        self._interval_ms = frame_interval_ms
        self._shares: deque[float] = deque(maxlen=IDLE_FRAMES)
        self._slower_ms = -math.inf  # when a slower preset was last tried
        self._try_after_ms = IDLE_FRAMES * frame_interval_ms
        self._faster_ms = -math.inf
        self.steps = 0
        """Presets faster than planned."""

    def note(self, encode_ms: float, *, now_ms: float) -> bool:
        """Take the time one frame took; whether `steps` has changed."""
        self._shares.append(encode_ms / self._interval_ms)
        recent = list(self._shares)[-WINDOW_FRAMES:]
        is_busy = len(recent) == WINDOW_FRAMES and fmean(recent) > BUSY_SHARE
        if is_busy and self.steps < MOST_STEPS and now_ms - self._faster_ms >= SETTLING_MS:
            self._become_faster(now_ms)
        elif self._may_try_slower(now_ms):
            self.steps -= 1
            self._slower_ms = now_ms
        else:
            return False
        self._shares.clear()
        return True

    def _become_faster(self, now_ms: float) -> None:
        if now_ms - self._slower_ms < 2 * self._try_after_ms:  # the last try was too early
            self._try_after_ms = min(LONGEST_TRY_MS, 2 * self._try_after_ms)
        self.steps += 1
        self._faster_ms = now_ms

    def _may_try_slower(self, now_ms: float) -> bool:
        if self.steps == 0 or len(self._shares) < IDLE_FRAMES:
            return False
        since_ms = now_ms - max(self._faster_ms, self._slower_ms)
        return since_ms >= self._try_after_ms and fmean(self._shares) < IDLE_SHARE
