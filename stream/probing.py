"""Short trains of packets above the sending rate, to learn whether the path carries more. Pure.

The rate at which the last packets of a train arrive after its first is what the narrowest link
passes on (packet-train dispersion; RFC 5166 section 2.1 has the terms), so the answer is a number
and not a try: the rate never has to overshoot to find out. Trains are of retransmissions, which the
receiver drops as duplicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream.twcc_history import SentPacket

PROBE_FACTOR = 2.0
PROBE_PACKETS = 4
FIRST_WAIT_MS, SHORTEST_WAIT_MS, LONGEST_WAIT_MS = 500.0, 2_000.0, 6_000.0
"""Before the first probe; between two, doubled each time that one finds nothing."""

AFTER_SUCCESS_MS = 500.0
PATIENCE_MS = 1_500.0
"""After which the result of a probe is whatever is known by then."""

_MIN_SHARE_ARRIVED = 0.75
_UNSATURATED = 0.9
_SAFETY = 0.9
_WORTH = 1.05
_LARGEST_STEP = 1.5  # where the train was spread: others may share the link


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Send `packets` packets with this number at `rate_bps`."""

    number: int
    rate_bps: int
    packets: int = PROBE_PACKETS


class ProbeSchedule:
    """When to probe, and what came of it; one probe at a time."""

    def __init__(self) -> None:
        self._number = 0
        self._running: Probe | None = None
        self._estimate_bps = 0.0
        self._began_ms = 0.0
        self._outcomes: dict[int, SentPacket] = {}
        self._next_ms: float | None = None
        self._wait_ms = SHORTEST_WAIT_MS

    @property
    def is_running(self) -> bool:
        """Whether the result of a probe is waited for."""
        return self._running is not None

    def note_decrease(self, now_ms: float) -> None:
        """The path has just proved narrower: drop a running probe, wait."""
        self._running = None
        self._next_ms = now_ms + self._wait_ms

    def due(self, estimate_bps: float, *, max_bps: float, now_ms: float) -> Probe | None:
        """A probe to send now, if it is time and there is something to gain below max_bps."""
        if self._next_ms is None:
            self._next_ms = now_ms + FIRST_WAIT_MS
        if self._running is not None or now_ms < self._next_ms:
            return None
        rate_bps = min(PROBE_FACTOR * estimate_bps, 1.2 * max_bps)
        if rate_bps < _WORTH / _SAFETY * estimate_bps:
            return None
        self._number += 1
        self._running = Probe(number=self._number, rate_bps=round(rate_bps))
        self._estimate_bps, self._began_ms = estimate_bps, now_ms
        self._outcomes = {}
        return self._running

    def take(self, packets: Sequence[SentPacket], *, now_ms: float) -> float | None:
        """What a probe that is over has measured, in bits a second; None for no news."""
        probe = self._running
        if probe is None:
            return None
        for packet in packets:  # media sent in between takes its share of the link, too
            if packet.sent_ms >= self._began_ms:
                self._outcomes[packet.number] = packet
        known = sum(packet.probe == probe.number for packet in self._outcomes.values())
        if known < probe.packets and now_ms - self._began_ms < PATIENCE_MS:
            return None
        self._running = None
        measured_bps = self._measured_bps(probe)
        if measured_bps is None or measured_bps < _WORTH * self._estimate_bps:
            self._next_ms = now_ms + self._wait_ms
            self._wait_ms = min(LONGEST_WAIT_MS, 2 * self._wait_ms)
            return None
        self._next_ms, self._wait_ms = now_ms + AFTER_SUCCESS_MS, SHORTEST_WAIT_MS
        return measured_bps

    def _measured_bps(self, probe: Probe) -> float | None:
        if not any(each.probe == probe.number for each in self._outcomes.values()):
            return None
        numbers = [number for number, each in self._outcomes.items() if each.probe == probe.number]
        train = [self._outcomes[n] for n in self._outcomes if min(numbers) <= n <= max(numbers)]
        arrived = sorted(
            (packet.arrived_ms, packet.sent_ms, packet.size_bytes)
            for packet in train
            if packet.arrived_ms is not None
        )
        if len(arrived) < max(3, _MIN_SHARE_ARRIVED * len(train)):
            return None
        arrival_span_ms = arrived[-1][0] - arrived[0][0]
        sending_span_ms = arrived[-1][1] - arrived[0][1]
        if sending_span_ms <= 0 or arrival_span_ms <= 0:
            return None
        bits = 8000 * sum(size for _, _, size in arrived)
        sent_bps = (bits - 8000 * arrived[-1][2]) / sending_span_ms
        arrived_bps = (bits - 8000 * arrived[0][2]) / arrival_span_ms
        if arrived_bps >= _UNSATURATED * sent_bps:
            return _SAFETY * sent_bps
        return min(_SAFETY * arrived_bps, _LARGEST_STEP * self._estimate_bps)
