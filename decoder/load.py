"""What a stream does when its machine is too slow: first a cheaper tier, then fewer frames. Pure.

Ties `Governor` (tiers) and `Backlog` (dropping) to one stream's Restorer. Time is an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Protocol

from decoder.backlog import Backlog
from decoder.governor import Governor
from stream.frame import CLOCK_HZ, Frame

DEFAULT_INTERVAL_MS = 40.0
"""Until two frames have come."""

_INTERVALS = 9
"""Whose median is taken, so that lost frames do not count as a slow stream."""

_LONGEST_INTERVAL = CLOCK_HZ
"""A pause is no interval."""


class TieredRestorer(Protocol):
    """What the load of a stream needs of its `Restorer`."""

    @property
    def tiers(self) -> tuple[str, ...]:
        """What can be chosen from, best first."""

    @property
    def tier_costs_ms(self) -> Mapping[str, float]:
        """What a frame takes when nothing disturbs, by tier, as far as it was ever measured."""

    @property
    def is_changing_tier(self) -> bool:
        """Whether two tiers are at work."""

    def use_tier(self, index: int, *, is_hurried: bool = False) -> None:
        """Restore by one of `tiers` from the next frame on."""


class Load:
    """One stream's. In order, for each frame: `excess`, `choose_tier`, `note`."""

    def __init__(self) -> None:
        self._backlog = Backlog()
        self._tiers: tuple[str, ...] = ()
        self._governor: Governor | None = None
        self._intervals: deque[int] = deque(maxlen=_INTERVALS)
        self._last_pts: int | None = None
        self._was_changing = False

    @property
    def interval_ms(self) -> float:
        """Between two frames of the stream."""
        if not self._intervals:
            return DEFAULT_INTERVAL_MS
        return median(self._intervals) * 1000 / CLOCK_HZ

    def excess(self, *, wait_ms: float, waiting: int, now_ms: float, has_overflowed: bool) -> int:
        """How many frames to skip: see `Backlog.excess`. None while a cheaper tier is left."""
        if self._governor is None or not self._governor.is_at_bottom:
            self._backlog = Backlog()
            return 0
        return self._backlog.excess(
            wait_ms=wait_ms, waiting=waiting, now_ms=now_ms, has_overflowed=has_overflowed
        )

    def choose_tier(
        self, restorer: TieredRestorer, frame: Frame, *, waiting: int, now_ms: float
    ) -> None:
        """Tell the Restorer by which tier to restore `frame`, with `waiting` more behind it."""
        if self._last_pts is not None and 0 < frame.pts - self._last_pts <= _LONGEST_INTERVAL:
            self._intervals.append(frame.pts - self._last_pts)
        self._last_pts = frame.pts
        if self._governor is None or self._tiers != restorer.tiers:  # first, or of another size
            self._tiers = restorer.tiers
            costs = [restorer.tier_costs_ms.get(name) for name in self._tiers]
            self._governor = Governor(len(self._tiers), costs_ms=costs)
        tier = self._governor.choose(waiting=waiting, interval_ms=self.interval_ms, now_ms=now_ms)
        restorer.use_tier(tier, is_hurried=self._governor.is_hurried)

    def note(self, restorer: TieredRestorer, *, took_ms: float) -> None:
        """How long restoring that frame took."""
        is_changing = restorer.is_changing_tier
        # A frame that networks were opened for says nothing about them.
        if self._governor is not None and self._tiers == restorer.tiers:
            # The frame that ends a change was restored twice, too.
            self._governor.note(took_ms, is_mixed=is_changing or self._was_changing)
        self._was_changing = is_changing
