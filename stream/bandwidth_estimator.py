"""How many bits a second the path carries, from transport feedback at the sending end. Pure.

Google congestion control (see `stream.delay_detector`): the delay-based rate grows while no queue
does, and falls to a share of what arrives when one does; the loss-based rate falls when much more
is lost than chance explains. The lower of both counts. Rates are of IP packets.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from stream.delay_detector import QUEUE_LIMIT_MS, DelayDetector, PathUsage
from stream.probing import Probe, ProbeSchedule
from stream.twcc_history import SentPacket

DECREASE = 0.85  # of what arrives (gcc-02 section 5.5)
SMALL_DECREASE, KEEPING_UP = 0.93, 1.1
"""Of the estimate, where what was sent arrives in at most this many times the time it was sent in:
then a delay is short, or not of our making."""

GROWTH_PER_S = 1.08
"""While the rate is far from where the path was full the last time."""

NEAR_GROWTH_BPS, NEAR_GROWTH_PER_S = 8_000, 0.03
"""Near it, each second: the same for all flows of a link, so that a small one can catch up, but a
share of wide ones. Half a packet a round trip (gcc-02 section 5.5) would be 20 % at 150 kb/s."""

FULL_SHARE, BEYOND_FULL = 0.95, 0.1
"""From this share of what arrived when the path was full, growth is so much slower: a thin link is
filled for as short as can be. If it has become wider, a probe finds out sooner."""

ARRIVAL_WINDOW_MS = 600.0
"""What arrives is measured over this time: 15 frames at 25 a second."""

ARRIVAL_HEADROOM, ARRIVAL_MARGIN_BPS = 1.5, 10_000
"""The estimate stays within this of what arrives: what was never tried is not known."""

OWN_QUEUE_SHARE = 1.15
"""The path is taken to be this much wider than estimated when our own queue is subtracted: a queue
longer than that is a sign to stop growing."""

DRAINED_QUEUE_MS, LONGEST_DRAIN_MS = 30.0, 3_000.0
DRAIN_PER_MS, LARGEST_DRAIN = 0.002, 0.3
"""After a decrease less is sent until the queue is gone, by this share for each ms of it."""

LOSS_WINDOW_MS = 2_000.0
TOLERATED_LOSS, GOOD_LOSS = 0.10, 0.02  # gcc-02 section 6
_LOSS_SIGMAS = 2.0  # how far above TOLERATED_LOSS chance alone is allowed to get
_MIN_LOSS_PACKETS = 10
_RESPONSE_MS = 100.0  # besides the round trip: feedback interval
_CAPACITY_SMOOTHING = 0.3
_CAPACITY_SIGMAS, _MIN_CAPACITY_DEVIATION = 3.0, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class PathEstimate:
    """estimate_bps: what the path carries. target_bps: what to send now, less while a queue drains.

    loss_ratio: of the last seconds. probe: to be sent now, None mostly.
    """

    estimate_bps: int
    target_bps: int
    usage: PathUsage
    queue_ms: float
    loss_ratio: float
    probe: Probe | None = None


class BandwidthEstimator:
    """Feedback in, estimate out; between min_bps and max_bps, beginning at start_bps.

    max_bps is what the sender could use at most: nothing is tried beyond it.
    """

    def __init__(self, *, start_bps: int, min_bps: int, max_bps: int) -> None:
        self._min_bps, self._max_bps = float(min_bps), float(max(max_bps, min_bps))
        self._delay_bps = self._loss_bps = min(self._max_bps, max(start_bps, self._min_bps))
        self._detector = DelayDetector()
        self._arrived: deque[tuple[float, float, int]] = deque()  # (arrived, sent, bytes)
        self._outcomes: OrderedDict[int, tuple[float, bool]] = OrderedDict()  # (sent, was lost)
        self._capacity: _Capacity | None = None
        self._updated_ms: float | None = None
        self._decreased_ms = self._loss_decreased_ms = -math.inf
        self._is_draining = False
        self._probes = ProbeSchedule()

    @property
    def estimate_bps(self) -> float:
        """What the path carries."""
        return max(self._min_bps, min(self._max_bps, self._delay_bps, self._loss_bps))

    def update(
        self, packets: Sequence[SentPacket], *, rtt_ms: float, now_ms: float
    ) -> PathEstimate:
        """Take what one feedback said, in order of sending."""
        elapsed_s = 0.0
        if self._updated_ms is not None:
            elapsed_s = min(1.0, max(0.0, (now_ms - self._updated_ms) / 1000))
        self._updated_ms = now_ms
        is_overused = False
        self._detector.capacity_bps = OWN_QUEUE_SHARE * self._delay_bps
        for packet in packets:
            self._note(packet)
            self._detector.add(packet)
            is_overused |= self._is_overused()
        arrival_bps = self._arrival_bps()
        if is_overused:
            self._decrease(arrival_bps, rtt_ms=rtt_ms, now_ms=now_ms)
        elif self._detector.usage is PathUsage.NORMAL and not self._is_draining:
            self._increase(arrival_bps, elapsed_s)
        loss_ratio = self._follow_loss(elapsed_s, arrival_bps, rtt_ms=rtt_ms, now_ms=now_ms)
        self._drain(now_ms)
        return self._estimate(packets, loss_ratio, now_ms)

    def _is_overused(self) -> bool:
        """A probe fills the queue for a moment, which says nothing of the rate in general."""
        if self._detector.usage is not PathUsage.OVERUSED:
            return False
        return not self._probes.is_running or self._detector.standing_ms > QUEUE_LIMIT_MS

    def _note(self, packet: SentPacket) -> None:
        # What was reported missing may have come after all: then this is the second time.
        self._outcomes[packet.number] = (packet.sent_ms, packet.arrived_ms is None)
        while next(iter(self._outcomes.values()))[0] < packet.sent_ms - LOSS_WINDOW_MS:
            self._outcomes.popitem(last=False)
        if packet.arrived_ms is not None:
            self._arrived.append((packet.arrived_ms, packet.sent_ms, packet.size_bytes))
            while self._arrived[0][0] <= packet.arrived_ms - ARRIVAL_WINDOW_MS:
                self._arrived.popleft()

    def _arrival_bps(self) -> float | None:
        """None until the window is full enough to tell."""
        if len(self._arrived) < 3:
            return None
        first_ms, last_ms = self._arrived[0][0], self._arrived[-1][0]
        if last_ms - first_ms < ARRIVAL_WINDOW_MS / 3:
            return None
        # The first packet opens the span; its own time of transmission lies before it.
        sizes = sum(size for _, _, size in self._arrived) - self._arrived[0][2]
        return 8000 * sizes / (last_ms - first_ms)

    def _keeps_up(self) -> bool:
        """Whether what was sent arrived, and as fast as it left."""
        if self._lost_packets() > GOOD_LOSS * len(self._outcomes):
            return False
        arrival_ms = self._arrived[-1][0] - self._arrived[0][0]
        sending_ms = self._arrived[-1][1] - self._arrived[0][1]
        return arrival_ms < KEEPING_UP * sending_ms

    def _lost_packets(self) -> int:
        return sum(was_lost for _, was_lost in self._outcomes.values())

    def _decrease(self, arrival_bps: float | None, *, rtt_ms: float, now_ms: float) -> None:
        self._detector.restart()
        if now_ms - self._decreased_ms < rtt_ms + 2 * _RESPONSE_MS:
            return
        reduced_bps = DECREASE * (self._delay_bps if arrival_bps is None else arrival_bps)
        if arrival_bps is not None and self._keeps_up():
            # Little arrives because little was sent, which says nothing of the path's width.
            reduced_bps = max(reduced_bps, SMALL_DECREASE * self._delay_bps)
        elif arrival_bps is not None:
            self._capacity = _Capacity.updated(self._capacity, arrival_bps)
        self._delay_bps = max(self._min_bps, min(self._delay_bps, reduced_bps))
        self._decreased_ms, self._is_draining = now_ms, True
        self._probes.note_decrease(now_ms)

    def _increase(self, arrival_bps: float | None, elapsed_s: float) -> None:
        limit_bps = self._max_bps
        if arrival_bps is not None:
            limit_bps = ARRIVAL_HEADROOM * arrival_bps + ARRIVAL_MARGIN_BPS
            if self._capacity is not None and arrival_bps > self._capacity.upper_bps:
                self._capacity = None  # the path has become wider
        if self._capacity is not None and self._delay_bps > self._capacity.lower_bps:
            equal_bps = min(NEAR_GROWTH_BPS, (GROWTH_PER_S - 1) * self._delay_bps)
            step_bps = max(equal_bps, NEAR_GROWTH_PER_S * self._delay_bps)
            if self._delay_bps > FULL_SHARE * self._capacity.mean_bps:
                step_bps *= BEYOND_FULL
            grown_bps = self._delay_bps + step_bps * elapsed_s
        else:
            grown_bps = self._delay_bps * GROWTH_PER_S**elapsed_s
        if grown_bps > limit_bps:
            grown_bps = max(self._delay_bps, limit_bps)
        self._delay_bps = min(self._max_bps, grown_bps)

    def _follow_loss(
        self, elapsed_s: float, arrival_bps: float | None, *, rtt_ms: float, now_ms: float
    ) -> float:
        count = len(self._outcomes)
        lost = self._lost_packets()
        loss_ratio = lost / count if count else 0.0
        is_certain = count >= _MIN_LOSS_PACKETS
        least_ratio = (lost - _LOSS_SIGMAS * math.sqrt(lost)) / count if is_certain else 0.0
        if least_ratio > TOLERATED_LOSS:
            if now_ms - self._loss_decreased_ms >= rtt_ms + 3 * _RESPONSE_MS:
                reduced_bps = self.estimate_bps * (1 - loss_ratio / 2)
                if arrival_bps is not None:  # a full queue drops the rest: no need to go lower
                    reduced_bps = max(reduced_bps, DECREASE * arrival_bps)
                self._loss_bps = max(self._min_bps, min(self._loss_bps, reduced_bps))
                self._loss_decreased_ms = now_ms
                self._probes.note_decrease(now_ms)
                self._outcomes.clear()
        elif loss_ratio > GOOD_LOSS:  # chance, or a short queue: no more than now, says gcc-02
            self._loss_bps = min(self._loss_bps, self._delay_bps)
        else:
            grown_bps = max(self._loss_bps, self._delay_bps) * GROWTH_PER_S**elapsed_s
            self._loss_bps = min(self._max_bps, grown_bps)
        return loss_ratio

    def _drain(self, now_ms: float) -> None:
        if (
            self._detector.queue_ms < DRAINED_QUEUE_MS
            or now_ms - self._decreased_ms > LONGEST_DRAIN_MS
        ):
            self._is_draining = False

    def _estimate(
        self, packets: Sequence[SentPacket], loss_ratio: float, now_ms: float
    ) -> PathEstimate:
        was_probing = self._probes.is_running
        measured_bps = self._probes.take(packets, now_ms=now_ms)
        if was_probing and not self._probes.is_running:
            self._detector.restart()  # what the probe did to the delay is over
        is_calm = self._detector.usage is PathUsage.NORMAL and not self._is_draining
        if measured_bps is not None and is_calm and measured_bps > self.estimate_bps:
            self._delay_bps = min(self._max_bps, max(self._delay_bps, measured_bps))
            self._loss_bps = max(self._loss_bps, measured_bps)
            self._capacity = None
        estimate_bps = self.estimate_bps
        probe = None
        if is_calm and estimate_bps < self._max_bps and loss_ratio < TOLERATED_LOSS:
            probe = self._probes.due(estimate_bps, max_bps=self._max_bps, now_ms=now_ms)
        target_bps = estimate_bps
        if self._is_draining:
            target_bps *= 1 - min(LARGEST_DRAIN, DRAIN_PER_MS * self._detector.queue_ms)
        return PathEstimate(
            estimate_bps=round(estimate_bps),
            target_bps=round(max(self._min_bps, target_bps)),
            usage=self._detector.usage,
            queue_ms=self._detector.queue_ms,
            loss_ratio=loss_ratio,
            probe=probe,
        )


@dataclass(frozen=True, slots=True)
class _Capacity:
    """Where the path was full: mean and relative deviation of what arrived then."""

    mean_bps: float
    deviation: float

    @classmethod
    def updated(cls, known: _Capacity | None, arrival_bps: float) -> _Capacity:
        if known is None or not known.lower_bps <= arrival_bps <= known.upper_bps:
            return cls(arrival_bps, _MIN_CAPACITY_DEVIATION)
        share = _CAPACITY_SMOOTHING
        distance = abs(arrival_bps - known.mean_bps) / known.mean_bps
        return cls(
            known.mean_bps + share * (arrival_bps - known.mean_bps),
            max(_MIN_CAPACITY_DEVIATION, known.deviation + share * (distance - known.deviation)),
        )

    @property
    def upper_bps(self) -> float:
        return self.mean_bps * (1 + _CAPACITY_SIGMAS * self.deviation)

    @property
    def lower_bps(self) -> float:
        return self.mean_bps * (1 - _CAPACITY_SIGMAS * self.deviation)
