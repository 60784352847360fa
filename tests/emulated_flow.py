"""Video flows with transport feedback over an emulated path, in no real time: an event loop."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean

from benchmarks.link import Path, PathConfig
from stream.bandwidth_estimator import BandwidthEstimator, PathEstimate
from stream.probing import Probe
from stream.twcc_history import ArrivalLog, SentPackets

FRAME_MS = 40.0
MTU_BYTES = 1200
KEYFRAME_EVERY = 250
START_MS = 1000.0


class Events:
    """Things to do at their times."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self.now_ms = START_MS

    def at(self, time_ms: float, action: Callable[[], None]) -> None:
        """Do it then, after what was asked for before at the same time."""
        self._order += 1
        heapq.heappush(self._waiting, (max(time_ms, self.now_ms), self._order, action))

    def run(self, until_ms: float) -> None:
        """Do everything up to that time."""
        while self._waiting and self._waiting[0][0] <= until_ms:
            self.now_ms, _, action = heapq.heappop(self._waiting)
            action()
        self.now_ms = until_ms


@dataclass(slots=True)
class Moment:
    """One update of the estimator; times in s since the start, rates in kb/s."""

    at_s: float
    estimate: PathEstimate

    @property
    def target_kbps(self) -> float:
        return self.estimate.target_bps / 1000


@dataclass
class Flow:
    """A video sender that follows its estimator exactly, but with frames of unequal size.

    limit_bps: what the video needs at most; sends less when the target is lower.
    """

    events: Events
    path: Path
    back: Path
    estimator: BandwidthEstimator
    limit_bps: float = 1e9
    until_ms: float = float("inf")
    stall_ms: float = 0.0
    seed: int = 3
    moments: list[Moment] = field(default_factory=list)
    sent: list[tuple[float, int]] = field(default_factory=list)
    delays_ms: list[tuple[float, float]] = field(default_factory=list)
    probes: int = 0
    target_bps: float = 0.0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._packets, self._log = SentPackets(), ArrivalLog()
        self.target_bps = self.estimator.estimate_bps
        self._frames = 0
        self.events.at(self.events.now_ms, self._frame)
        self.events.at(self.events.now_ms + 100, self._report)

    def _frame(self) -> None:
        rate_bps = min(self.target_bps, self.limit_bps)
        size = rate_bps / 8 * FRAME_MS / 1000 * self._random.uniform(0.7, 1.3)
        if self._frames % KEYFRAME_EVERY == 0:
            size *= 4
        self._frames += 1
        count = max(1, -(-int(size) // MTU_BYTES))
        now_ms = self.events.now_ms
        for index in range(count):
            pace_ms = 0.9 * FRAME_MS * index / count
            self.events.at(now_ms + pace_ms, lambda: self._send(max(60, int(size / count))))
        if now_ms + FRAME_MS < self.until_ms:
            self.events.at(now_ms + FRAME_MS, self._frame)

    def _send(self, size: int, probe: int | None = None) -> None:
        now_ms = self.events.now_ms
        number = self._packets.add(size, now_ms=now_ms, probe=probe)
        self.sent.append((now_ms, size))
        arrival_ms = self.path.send(size, now_ms=now_ms)
        if arrival_ms is not None:
            self.delays_ms.append((now_ms, arrival_ms - now_ms))
            seen_ms = max(arrival_ms, self._stalled_until(arrival_ms))
            self.events.at(seen_ms, lambda: self._log.add(number, now_ms=self.events.now_ms))

    def _stalled_until(self, at_ms: float) -> float:
        """The receiver gets no processor for up to stall_ms, twice a second on average."""
        period = int(at_ms // 500)
        order = random.Random(1000 * self.seed + period)
        length_ms = order.uniform(0, self.stall_ms)
        begin_ms = 500 * period + order.uniform(0, 500)
        return begin_ms + length_ms if begin_ms <= at_ms < begin_ms + length_ms else at_ms

    def _report(self) -> None:
        report = self._log.report(sender_ssrc=1, media_ssrc=2, now_ms=self.events.now_ms)
        if report is not None:
            arrival_ms = self.back.send(len(report), now_ms=self.events.now_ms)
            if arrival_ms is not None:
                self.events.at(arrival_ms, lambda: self._update(report))
        self.events.at(self.events.now_ms + 20, self._report)

    def _update(self, report: bytes) -> None:
        known = self._packets.take(report)
        now_ms = self.events.now_ms
        estimate = self.estimator.update(known, rtt_ms=50, now_ms=now_ms)
        self.target_bps = estimate.target_bps
        self.moments.append(Moment((now_ms - START_MS) / 1000, estimate))
        if estimate.probe is not None:
            self._start(estimate.probe)

    def _start(self, probe: Probe) -> None:
        self.probes += 1
        size = 450
        for index in range(probe.packets):
            after_ms = index * size * 8000 / probe.rate_bps
            self.events.at(
                self.events.now_ms + after_ms, lambda: self._send(size, probe=probe.number)
            )

    def kbps(self, from_s: float, to_s: float) -> float:
        """What was sent between two times."""
        inside = [size for at_ms, size in self.sent if from_s <= (at_ms - START_MS) / 1000 < to_s]
        return sum(inside) * 8 / (to_s - from_s) / 1000

    def mean_delay_ms(self, from_s: float, to_s: float) -> float:
        """Of the packets sent between two times."""
        return fmean(
            delay for at_ms, delay in self.delays_ms if from_s <= (at_ms - START_MS) / 1000 < to_s
        )

    def target_at(self, at_s: float) -> float:
        """Target in kb/s at that time."""
        return [moment.target_kbps for moment in self.moments if moment.at_s <= at_s][-1]

    def first_above(self, kbps: float, *, after_s: float) -> float:
        """When the target was first that high; infinite if never."""
        times = [
            moment.at_s
            for moment in self.moments
            if moment.at_s >= after_s and moment.target_kbps >= kbps
        ]
        return min(times, default=float("inf"))


def flow_over(
    forward: PathConfig,
    *,
    seconds: float,
    start_bps: int = 300_000,
    max_bps: int = 5_000_000,
    limit_bps: float = 1e9,
    back_delay_ms: float = 25.0,
    stall_ms: float = 0.0,
) -> Flow:
    """One flow alone on a path, run to the end."""
    events = Events()
    path = Path(forward, now_ms=START_MS)
    back = Path(PathConfig(delay_ms=back_delay_ms), now_ms=START_MS)
    estimator = BandwidthEstimator(start_bps=start_bps, min_bps=30_000, max_bps=max_bps)
    flow = Flow(events, path, back, estimator, limit_bps=limit_bps, stall_ms=stall_ms)
    events.run(START_MS + 1000 * seconds)
    return flow


class LossBasedFlow:
    """A download as TCP does it (RFC 5681): fills the queue until it drops, then halves."""

    PACKET_BYTES = 1000
    LATE_MS = 300.0

    def __init__(self, events: Events, path: Path, *, from_s: float, until_s: float) -> None:
        self._events, self._path, self._until_ms = events, path, START_MS + 1000 * until_s
        self._window, self._threshold, self._flying = 2.0, float("inf"), 0
        self._halved_ms = 0.0
        self.sent_ms: list[float] = []
        events.at(START_MS + 1000 * from_s, self._fill)

    def _fill(self) -> None:
        while self._flying < int(self._window) and self._events.now_ms < self._until_ms:
            sent_ms = self._events.now_ms
            arrival_ms = self._path.send(self.PACKET_BYTES, now_ms=sent_ms)
            self.sent_ms.append(sent_ms)
            self._flying += 1
            if arrival_ms is None:
                self._events.at(sent_ms + self.LATE_MS, lambda at_ms=sent_ms: self._lost(at_ms))  # type: ignore[misc]  # a default binds it
            else:
                self._events.at(arrival_ms + 25, self._acknowledged)

    def _acknowledged(self) -> None:
        self._flying -= 1
        self._window += 1 if self._window < self._threshold else 1 / self._window
        self._fill()

    def _lost(self, sent_ms: float) -> None:
        self._flying -= 1
        if sent_ms > self._halved_ms:  # once for what was lost together
            self._threshold = self._window = max(2.0, self._window / 2)
            self._halved_ms = self._events.now_ms
        self._fill()

    def kbps(self, from_s: float, to_s: float) -> float:
        """What was sent between two times."""
        inside = [at_ms for at_ms in self.sent_ms if from_s <= (at_ms - START_MS) / 1000 < to_s]
        return len(inside) * 8 * self.PACKET_BYTES / (to_s - from_s) / 1000
