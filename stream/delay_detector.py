"""Whether a queue grows on the path, from the times at which packets left and arrived. Pure.

The delay-based half of Google congestion control (Carlucci, De Cicco, Holmer, Mascolo, "Analysis
and design of the Google congestion control for WebRTC", MMSys 2016; draft-ietf-rmcat-gcc-02
section 5): the slope of the queueing delay over time is compared with an adaptive threshold. Two
things differ, because a thin stream has 25 frames a second of very unequal size and not 200 packets
of one: the window is a time, not a count; and the queue that these very packets would build on a
path of the estimated capacity is subtracted, so that a keyframe is not taken for congestion.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from stream.twcc_history import SentPacket

BURST_MS = 5.0
"""Packets sent within this time are one group (gcc-02 section 5.2)."""

WINDOW_MS = 800.0
"""The slope is that over this time: 20 frames at 25 a second."""

MIN_GROUPS = 4
_SMOOTHING = 0.6
_GAIN, _MAX_GAIN_GROUPS = 4.0, 60  # slope to the unit of the threshold
_START_THRESHOLD, _MIN_THRESHOLD, _MAX_THRESHOLD = 12.5, 6.0, 600.0
_ADAPT_UP, _ADAPT_DOWN = 0.0087, 0.039  # k_u, k_d of gcc-02 table 1
_MAX_ADAPT_DISTANCE = 15.0  # a spike this far above is not learned from
_OVERUSE_MS = 10.0
_FORGET_MS = 5_000.0  # a pause so long says nothing about the path

QUEUE_LIMIT_MS, STANDING_MS = 60.0, 500.0
"""A queue that never was shorter than this for so long is overuse even when it hardly grows."""

BASE_WINDOW_MS = 30_000.0
"""The shortest delay of so long is taken for that of the empty path (clocks drift 2 ms in it)."""

LONGEST_OWN_MS = 250.0
"""Of queue that is forgiven as our own: about what the codec's rate control lets into one burst."""

_BASE_PARTS = 10


class PathUsage(Enum):
    """What the delay says of the rate: too low for the queue to fill, fitting, too high."""

    UNDERUSED = "underused"
    NORMAL = "normal"
    OVERUSED = "overused"


class DelayDetector:
    """Takes packets that have arrived, in order of sending."""

    def __init__(self) -> None:
        self.capacity_bps = 1e9
        """What the path is taken to carry."""
        self._group_sent_ms: float | None = None  # when its first packet was sent
        self._group: tuple[float, float, float] | None = (
            None  # (arrived, excess, queue) of its last
        )
        self._sent_ms = 0.0
        self._own_ms = 0.0  # queue of our own packets on a path of that capacity
        self._smoothed_ms = 0.0
        self._samples: deque[tuple[float, float]] = deque()  # (arrived, smoothed excess)
        self._queues: deque[tuple[float, float]] = deque()  # (arrived, queue)
        self._groups = 0
        self._threshold = _START_THRESHOLD
        self._slope = 0.0
        self._over_ms = 0.0
        self._base = _WindowedMinimum()
        self.usage = PathUsage.NORMAL

    @property
    def queue_ms(self) -> float:
        """How much longer the newest packets took than the fastest of the last 30 s."""
        return self._group[2] if self._group is not None else 0.0

    @property
    def standing_ms(self) -> float:
        """The shortest queue of the last STANDING_MS; 0 until so long is known."""
        if not self._queues or self._queues[-1][0] - self._queues[0][0] < 0.8 * STANDING_MS:
            return 0.0
        return min(queue_ms for _, queue_ms in self._queues)

    def add(self, packet: SentPacket) -> None:
        """Take the next packet; those without an arrival say nothing here."""
        if packet.arrived_ms is None:
            return
        delay_ms = packet.arrived_ms - packet.sent_ms
        self._base.add(delay_ms, now_ms=packet.arrived_ms)
        gap_ms = max(0.0, packet.sent_ms - self._sent_ms)
        self._sent_ms = max(self._sent_ms, packet.sent_ms)
        own_ms = 8000 * packet.size_bytes / self.capacity_bps
        self._own_ms = min(LONGEST_OWN_MS, max(0.0, self._own_ms - gap_ms) + own_ms)
        queue_ms = delay_ms - self._base.minimum
        if packet.probe is None:
            is_new = self._group_sent_ms is None or packet.sent_ms - self._group_sent_ms > BURST_MS
            if is_new and not self._came_at_once(packet.arrived_ms, queue_ms):
                self._complete()
                self._group_sent_ms = packet.sent_ms
            self._group = (packet.arrived_ms, max(0.0, queue_ms - self._own_ms), queue_ms)

    def _came_at_once(self, arrived_ms: float, queue_ms: float) -> bool:
        """Whether a packet belongs to a burst of arrivals, of which only the last says anything.

        A program that had to wait for a processor reads at once what came meanwhile. No link
        delivers like that, and libwebrtc makes one group of such packets, too.
        """
        if self._group is None:
            return False
        return arrived_ms - self._group[0] <= BURST_MS and queue_ms < self._group[2]

    def restart(self) -> None:
        """Forget the slope, because the rate was changed for it; the empty path stays known."""
        self._samples.clear()
        self._queues.clear()
        self._groups = 0
        self._slope = self._over_ms = 0.0
        self.usage = PathUsage.NORMAL

    def _complete(self) -> None:
        """Judge by the group that is complete now."""
        if self._group is None:
            return
        now_ms, excess_ms, queue_ms = self._group
        interval_ms = now_ms - self._samples[-1][0] if self._samples else 0.0
        if abs(interval_ms) > _FORGET_MS:
            self.restart()
        self._groups += 1
        self._smoothed_ms += _SMOOTHING * (excess_ms - self._smoothed_ms)
        self._samples.append((now_ms, self._smoothed_ms))
        self._queues.append((now_ms, queue_ms))
        while self._samples[0][0] < now_ms - WINDOW_MS:
            self._samples.popleft()
        while self._queues[0][0] < now_ms - STANDING_MS:
            self._queues.popleft()
        self._judge(max(0.0, interval_ms))

    def _judge(self, interval_ms: float) -> None:
        if len(self._samples) < MIN_GROUPS:
            self.usage = PathUsage.NORMAL
            return
        slope = _slope(self._samples)
        trend = min(self._groups, _MAX_GAIN_GROUPS) * slope * _GAIN
        if trend > self._threshold:
            self._over_ms += interval_ms
            if self._over_ms > _OVERUSE_MS and slope >= self._slope:
                self.usage = PathUsage.OVERUSED
        else:
            self._over_ms = 0.0
            is_falling = trend < -self._threshold
            self.usage = PathUsage.UNDERUSED if is_falling else PathUsage.NORMAL
        if self.standing_ms > QUEUE_LIMIT_MS and slope > -0.02:  # it does not drain
            self.usage = PathUsage.OVERUSED
        self._slope = slope
        self._adapt(abs(trend), interval_ms)

    def _adapt(self, trend: float, interval_ms: float) -> None:
        """Follow the noise, so that jitter and competing flows do not starve this one."""
        if trend > self._threshold + _MAX_ADAPT_DISTANCE:
            return
        rate = _ADAPT_DOWN if trend < self._threshold else _ADAPT_UP
        self._threshold += rate * (trend - self._threshold) * min(interval_ms, 100.0)
        self._threshold = max(_MIN_THRESHOLD, min(_MAX_THRESHOLD, self._threshold))


class _WindowedMinimum:
    """The smallest value of the last BASE_WINDOW_MS, to a tenth of that."""

    def __init__(self) -> None:
        self._parts: deque[tuple[int, float]] = deque()

    def add(self, value: float, *, now_ms: float) -> None:
        part = int(now_ms // (BASE_WINDOW_MS / _BASE_PARTS))
        if self._parts and self._parts[-1][0] >= part:
            newest, least = self._parts.pop()
            self._parts.append((newest, min(least, value)))
        else:
            self._parts.append((part, value))
        while self._parts[0][0] <= self._parts[-1][0] - _BASE_PARTS:
            self._parts.popleft()

    @property
    def minimum(self) -> float:
        return min(value for _, value in self._parts)


def _slope(samples: deque[tuple[float, float]]) -> float:
    """Of the straight line of least squares through (time, delay), both in ms."""
    count = len(samples)
    mean_x = sum(x for x, _ in samples) / count
    mean_y = sum(y for _, y in samples) / count
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    if spread == 0:
        return 0.0
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread
