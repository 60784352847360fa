"""Picks the tier that keeps up, frame by frame, so that load costs sharpness before frames. Pure.

Tiers are counted from 0, the best one, to the cheapest, which is Lanczos. Down: as soon as frames
queue up, or restoring one takes nearly as long as the next one takes to come, to the next tier that
should fit; at once to the last one when the queue is long. Up, one tier at a time: when the next
better one would fit with some room to spare, after a quiet time that doubles whenever the last step
up had to be taken back. A step up is a trial at first: a queue ends it at once.

What a tier takes is the mean of its latest frames without the slowest few: a process that wakes up
beside it, an output that opens, must not pass for a load. The first frame in a tier does not count
at all: it makes buffers; nor do the first of a stream, while codecs and outputs start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

FULL_SHARE = 0.95
"""Of a frame interval: a tier that takes this long, over a few frames, is about to fall behind."""

SPARE_SHARE = 0.7
"""What a better tier may take of the interval: 30 % are left for codecs and for bad moments."""

UP_SHARE = 0.85
"""The same for a step up, which only has to keep up: if it does not, it is soon taken back. Between
this and `FULL_SHARE` a tier is kept but not gone back to."""

UNTIMED_SHARE = 0.7
"""Of what a better tier may take: what a cheaper one may, for the better one to be worth trying."""

QUEUE_FRAMES, LATE_FRAMES = 2, 4
"""So many wait behind the frame to restore, so often in a row: late, not just held up once."""

LONG_QUEUE_FRAMES = 5
"""Waiting: at this tier the delay has grown too far for a step at a time."""

FAR_TOO_SLOW, SLOW_FRAMES = 2.0, 2
"""Intervals that so many frames in a row took: more of them while fading would be seen as a stall.
A single one is what another process does to a machine now and then."""

NEARLY_FULL_FRAMES = 15
"""Waiting: whatever the reason, such as a burst from the network, the buffer must not overflow."""

SETTLE_FRAMES = 6
"""Frames after a step before the next one: three are mixed of both tiers, three show its effect."""

QUIET_MS, LONGEST_QUIET_MS = 2000.0, 60_000.0
"""Without a reason to step down for this long before a step up; doubled after each failed one."""

RELAPSE_MS = 10_000.0
"""A step down within this time of the step up means that the step up was a mistake."""

COLD_FRAMES, START_FRAMES = 1, 8
"""After each step, and at the start of a stream, which tell nothing about a tier."""

TRIAL_FRAMES, TRIAL_QUEUE_FRAMES = 10, 2
"""After a step up, and how many in a row that find a queue end it, at once: nobody has got used to
the better picture, but everybody sees a delay."""

LATEST_FRAMES, SLOWEST_FRAMES = 12, 2
"""Whose mean is what a tier takes, and how many of them are left out as accidents."""

NOISE_MS = 1.0
"""A tier that takes this much more than it did says nothing about the load: Lanczos takes 1 ms."""


class Governor:
    """One stream's. Ask `choose` before each frame, tell `note` after it; time never goes back."""

    def __init__(self, tiers: int, *, costs_ms: Sequence[float | None] = ()) -> None:
        """costs_ms: what a frame takes in each tier when nothing disturbs, as far as known."""
        if tiers < 1:
            raise ValueError(f"at least one tier is needed, got {tiers}")
        self._nominal_ms = [*costs_ms, *[None] * (tiers - len(costs_ms))][:tiers]
        self._took_ms: deque[float] = deque(maxlen=LATEST_FRAMES)  # in this tier
        self._usual_ms: float | None = None  # of those
        self._tier = 0
        self._frames_here = 0  # since the last step
        self._cold_frames = START_FRAMES
        self._trial_frames = 0  # left
        self._queued_in_a_row = 0
        self._interval_ms = float("inf")
        self._slow_in_a_row = 0
        self._is_hurried = False
        self._late_in_a_row = 0
        self._quiet_ms = QUIET_MS
        self._quiet_since_ms: float | None = None
        self._stepped_up_ms = float("-inf")

    @property
    def tier(self) -> int:
        """In use."""
        return self._tier

    @property
    def is_hurried(self) -> bool:
        """Whether the last step down leaves no time to fade."""
        return self._is_hurried

    @property
    def is_at_bottom(self) -> bool:
        """Whether there is no cheaper tier, and this one has had time to show what it can do."""
        is_last = self._tier == len(self._nominal_ms) - 1
        return is_last and (self._frames_here >= SETTLE_FRAMES or len(self._nominal_ms) == 1)

    def choose(self, *, waiting: int, interval_ms: float, now_ms: float) -> int:
        """The tier for the next frame.

        waiting: frames queued behind it; interval_ms: between two frames of the stream.
        """
        if self._quiet_since_ms is None:
            self._quiet_since_ms = now_ms
        self._interval_ms = interval_ms
        # While a frame takes less of its interval, a queue shrinks, wherever it came from.
        is_slow = self._takes_more_than(UP_SHARE * interval_ms)
        is_late = is_slow and waiting >= QUEUE_FRAMES
        self._late_in_a_row = self._late_in_a_row + 1 if is_late else 0
        self._queued_in_a_row = self._queued_in_a_row + 1 if waiting >= QUEUE_FRAMES else 0
        self._trial_frames = max(0, self._trial_frames - 1)
        self._frames_here += 1
        last = len(self._nominal_ms) - 1
        is_full = self._takes_more_than(FULL_SHARE * interval_ms)
        is_stuck = waiting >= QUEUE_FRAMES and self._slow_in_a_row >= SLOW_FRAMES
        is_long = waiting >= NEARLY_FULL_FRAMES or (is_slow and waiting >= LONG_QUEUE_FRAMES)
        if self._tier < last and (is_stuck or is_long):
            self._step(last, now_ms, is_hurried=True)
        elif self._trial_frames and self._queued_in_a_row >= TRIAL_QUEUE_FRAMES:
            self._step(self._tier + 1, now_ms, is_hurried=True)
        elif is_late or is_full:
            self._quiet_since_ms = now_ms
            is_sure = self._late_in_a_row >= LATE_FRAMES or is_full
            if is_sure and self._frames_here > SETTLE_FRAMES and self._tier < last:
                self._step(self._next_that_fits(interval_ms), now_ms)
        elif self._tier > 0 and now_ms - self._quiet_since_ms >= self._quiet_ms:
            if self._fits(self._tier - 1, UP_SHARE * interval_ms, own_ms=self._usual_ms):
                self._step(self._tier - 1, now_ms)
            self._quiet_since_ms = now_ms
        elif now_ms - self._stepped_up_ms >= 2 * self._quiet_ms + RELAPSE_MS:
            self._quiet_ms = QUIET_MS  # it has held for long: what was then is no measure any more
        return self._tier

    def note(self, took_ms: float, *, is_mixed: bool = False) -> None:
        """How long the last frame took; is_mixed: in two tiers, to fade to the present one."""
        is_slow = took_ms > FAR_TOO_SLOW * self._interval_ms * (2 if is_mixed else 1)
        self._slow_in_a_row = self._slow_in_a_row + 1 if is_slow else 0
        if is_mixed:
            return
        if self._cold_frames:
            self._cold_frames -= 1
            return
        self._took_ms.append(took_ms)
        fastest = sorted(self._took_ms)
        del fastest[len(fastest) - min(SLOWEST_FRAMES, len(fastest) // 3) :]
        self._usual_ms = usual_ms = sum(fastest) / len(fastest)
        nominal = self._nominal_ms[self._tier]
        if nominal is None:
            # What it takes while it falls behind may be the load's doing: with that for a measure
            # nobody would ever go back to it.
            nominal = UP_SHARE * self._interval_ms
        if self._frames_here > SETTLE_FRAMES and usual_ms < nominal:
            self._nominal_ms[self._tier] = usual_ms

    def _takes_more_than(self, limit_ms: float) -> bool:
        return self._usual_ms is not None and self._usual_ms > limit_ms

    def _next_that_fits(self, interval_ms: float) -> int:
        """The best cheaper tier that is expected to keep up, or the last one."""
        last = len(self._nominal_ms) - 1
        fitting = (
            tier
            for tier in range(self._tier + 1, last)
            if self._fits(tier, SPARE_SHARE * interval_ms, own_ms=self._usual_ms)
        )
        return next(fitting, last)

    def _fits(self, tier: int, limit_ms: float, *, own_ms: float | None) -> bool:
        """Whether a tier is expected to take no longer, slowed down as the present one is.

        own_ms: what the present tier takes. A tier that nobody ever timed has to be tried, but not
        where the present one, if cheaper, takes most of the time already.
        """
        nominal, own_nominal = self._nominal_ms[tier], self._nominal_ms[self._tier]
        if nominal is None:
            return own_ms is None or tier > self._tier or own_ms <= UNTIMED_SHARE * limit_ms
        slowed = 1.0
        if own_ms is not None and own_nominal is not None:
            slowed = max(1.0, (own_ms - NOISE_MS) / own_nominal)
        return nominal * slowed <= limit_ms

    def _step(self, tier: int, now_ms: float, *, is_hurried: bool = False) -> None:
        self._is_hurried = is_hurried
        self._trial_frames = TRIAL_FRAMES if tier < self._tier else 0
        if tier < self._tier:
            self._stepped_up_ms = now_ms
        elif now_ms - self._stepped_up_ms < RELAPSE_MS:
            self._quiet_ms = min(2 * self._quiet_ms, LONGEST_QUIET_MS)
        self._tier, self._frames_here = tier, 0
        self._late_in_a_row = self._queued_in_a_row = 0
        self._took_ms.clear()  # what it took before is of another time
        self._usual_ms, self._cold_frames, self._slow_in_a_row = None, COLD_FRAMES, 0
        self._quiet_since_ms = now_ms
