"""What one direction of a thin link does to each packet. Pure and seeded.

A packet waits in a queue, leaves at the rate of the link, may be lost on the way, and arrives after
the delay and some jitter, never before the packet sent ahead of it. Bits are those of IP packets.
"""

from __future__ import annotations

import math
import random
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.link.rate_trace import RateTrace, format_rate_trace, parse_rate_trace
from stream.errors import ConfigError

INTERVAL_MS = 100.0
"""How finely the record says what passed when."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathConfig:
    """One direction of a link.

    rate: what it carries; None for no limit. queue_ms: how long a packet may wait at the rate of
    the moment before new ones are dropped (a queue of fixed bytes would be another at each rate of
    a trace). jitter_ms: up to this much more delay, anew for each packet. loss_ratio: share of
    packets that vanish after the queue, in runs of `burst_packets` on average. seed: of the random
    numbers for both.

    Raises ConfigError for values out of range.
    """

    rate: RateTrace | None = None
    queue_ms: float = 200.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss_ratio: float = 0.0
    burst_packets: float = 1.0
    seed: int = 1

    def __post_init__(self) -> None:
        if self.queue_ms <= 0 or self.delay_ms < 0 or self.jitter_ms < 0:
            raise ConfigError("a link's queue must be above 0 ms, its delay and jitter not below")
        if not 0 <= self.loss_ratio < 1 or self.burst_packets < 1:
            raise ConfigError("a link's loss must be 0 to below 1, in bursts of at least 1 packet")

    def to_json(self) -> dict[str, Any]:  # Any: values for JSON
        """As `from_json` takes it."""
        rate = None if self.rate is None else format_rate_trace(self.rate)
        return asdict(self) | {"rate": rate}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> PathConfig:
        """From what `to_json` made."""
        rate = content["rate"]
        return cls(**(content | {"rate": None if rate is None else parse_rate_trace(rate)}))


@dataclass(slots=True, kw_only=True)
class PathInterval:
    """What was sent in one interval of INTERVAL_MS, and became of it; at_ms since the start.

    arrived_bytes are those that arrive in this interval, whenever they were sent.
    wait_ms: the longest time in the queue.
    """

    at_ms: float
    sent_packets: int = 0
    sent_bytes: int = 0
    arrived_bytes: int = 0
    lost_packets: int = 0
    dropped_packets: int = 0
    wait_ms: float = 0.0


class Path:
    """One direction; times in ms on any one clock, never going backwards."""

    def __init__(self, config: PathConfig, *, now_ms: float) -> None:
        self._start_ms = self._trace_ms = now_ms
        self._free_ms = now_ms  # when the packet that leaves last has left
        self._arrival_ms = now_ms
        self._is_losing = False
        self._intervals: dict[int, PathInterval] = {}
        self.configure(config)

    def configure(self, config: PathConfig) -> None:
        """Treat packets by `config` from now on; those under way are not changed."""
        self._config = config
        self._random = random.Random(config.seed)

    def restart_trace(self, *, now_ms: float) -> None:
        """Begin the rate trace (again)."""
        self._trace_ms = now_ms

    def send(self, size_bytes: int, *, now_ms: float) -> float | None:
        """When a packet sent now arrives; None if it never does."""
        config, interval = self._config, self._interval(now_ms)
        interval.sent_packets += 1
        interval.sent_bytes += size_bytes
        start_ms = max(now_ms, self._free_ms)
        interval.wait_ms = max(interval.wait_ms, start_ms - now_ms)
        if config.rate is not None and start_ms - now_ms > config.queue_ms:
            interval.dropped_packets += 1
            return None
        left_ms = start_ms
        if config.rate is not None:
            elapsed_ms = start_ms - self._trace_ms
            left_ms = self._trace_ms + config.rate.finish_ms(elapsed_ms, 8 * size_bytes)
        if math.isinf(left_ms):
            interval.dropped_packets += 1
            return None
        self._free_ms = left_ms
        jitter_ms = self._random.uniform(0, config.jitter_ms)
        if self._loses():
            interval.lost_packets += 1
            return None
        self._arrival_ms = max(self._arrival_ms, left_ms + config.delay_ms + jitter_ms)
        self._interval(self._arrival_ms).arrived_bytes += size_bytes
        return self._arrival_ms

    def intervals(self) -> list[PathInterval]:
        """The record so far, without intervals in which nothing happened."""
        return [self._intervals[index] for index in sorted(self._intervals)]

    def _interval(self, at_ms: float) -> PathInterval:
        index = int((at_ms - self._start_ms) // INTERVAL_MS)
        if index not in self._intervals:
            self._intervals[index] = PathInterval(at_ms=index * INTERVAL_MS)
        return self._intervals[index]

    def _loses(self) -> bool:
        """Gilbert's model: in the bad state everything is lost; with bursts of 1, independent."""
        config = self._config
        if config.loss_ratio == 0:
            return False
        if config.burst_packets == 1:
            return self._random.random() < config.loss_ratio
        leave = 1 / config.burst_packets
        enter = leave * config.loss_ratio / (1 - config.loss_ratio)
        chance = self._random.random()
        self._is_losing = chance >= leave if self._is_losing else chance < enter
        return self._is_losing
