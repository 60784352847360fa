"""Bounded measurements: percentiles of a latency, bytes over the last second."""

from __future__ import annotations

import math
from collections import deque

RESERVOIR_SIZE = 4096
"""Newest values kept: over two minutes at 30 a second, 32 KiB."""


class Percentiles:
    """Percentiles of the newest `capacity` values; adding costs O(1), asking sorts.

    Raises ValueError for a capacity below 1.
    """

    def __init__(self, capacity: int = RESERVOIR_SIZE) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self._values: deque[float] = deque(maxlen=capacity)
        self._count = 0

    @property
    def count(self) -> int:
        """How many values were ever added."""
        return self._count

    def add(self, value: float) -> None:
        """Add a finite value; others are ignored, since one NaN would spoil every percentile."""
        if math.isfinite(value):
            self._values.append(value)
            self._count += 1

    def p(self, percent: float) -> float:
        """The smallest value with at least `percent` (0..100) of all not above it; 0.0 if none."""
        return _nearest_rank(sorted(self._values), percent)

    def summary(self) -> dict[str, float]:
        """p50, p95 and p99."""
        ordered = sorted(self._values)
        return {f"p{percent}": _nearest_rank(ordered, percent) for percent in (50, 95, 99)}


class RateMeter:
    """How many bytes a second, over a sliding window. Time is given, never read."""

    def __init__(self, window_ms: float = 1000.0) -> None:
        self._window_ms = window_ms
        self._events: deque[tuple[float, int]] = deque()
        self._total_bytes = 0
        self._window_bytes = 0

    @property
    def total_bytes(self) -> int:
        """Everything ever added."""
        return self._total_bytes

    def add(self, count_bytes: int, *, now_ms: float) -> None:
        """Count bytes that passed at `now_ms`, which never goes backwards."""
        self._events.append((now_ms, count_bytes))
        self._total_bytes += count_bytes
        self._window_bytes += count_bytes
        self._forget(now_ms)

    def rate_bps(self, *, now_ms: float) -> float:
        """Bits a second over the window that ends at `now_ms`."""
        self._forget(now_ms)
        return self._window_bytes * 8 * 1000.0 / self._window_ms

    def _forget(self, now_ms: float) -> None:
        while self._events and self._events[0][0] <= now_ms - self._window_ms:
            self._window_bytes -= self._events.popleft()[1]


def _nearest_rank(ordered: list[float], percent: float) -> float:
    if not ordered:
        return 0.0
    rank = math.ceil(percent / 100 * len(ordered))
    return ordered[min(max(rank, 1), len(ordered)) - 1]
