"""How the rate of a link changes over time: constant, in steps, in ramps. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise

from stream.config import format_bitrate, parse_bitrate
from stream.errors import ConfigError

_POINT = re.compile(r"(?:(\d+(?:\.\d+)?)s?)([:~])(\S+)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatePoint:
    """From `at_ms` on (since the start of the trace) the link carries `rate_bps`.

    is_ramp: the rate moves there in a straight line from the point before, instead of in a step.
    """

    at_ms: float
    rate_bps: float
    is_ramp: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTrace:
    """Bits a second over time; before the first point it is that of the first one.

    Raises ConfigError without points, for points out of order, and for rates below 0 or infinite.
    """

    points: tuple[RatePoint, ...]

    def __post_init__(self) -> None:
        if not self.points:
            raise ConfigError("a rate trace needs at least one rate")
        if any(later.at_ms <= earlier.at_ms for earlier, later in pairwise(self.points)):
            raise ConfigError("the times of a rate trace must grow")
        if not all(math.isfinite(point.rate_bps) and point.rate_bps >= 0 for point in self.points):
            raise ConfigError("the rates of a rate trace must be finite and not below 0")

    @property
    def duration_ms(self) -> float:
        """When the last point is reached."""
        return self.points[-1].at_ms

    def rate_bps(self, at_ms: float) -> float:
        """The rate at one moment."""
        if at_ms < self.points[0].at_ms:
            return self.points[0].rate_bps
        for earlier, later in pairwise(self.points):
            if at_ms < later.at_ms:
                if not later.is_ramp:
                    return earlier.rate_bps
                share = (at_ms - earlier.at_ms) / (later.at_ms - earlier.at_ms)
                return earlier.rate_bps + share * (later.rate_bps - earlier.rate_bps)
        return self.points[-1].rate_bps

    def finish_ms(self, start_ms: float, bits: float) -> float:
        """When `bits` that begin to leave at `start_ms` have left; infinite if they never have."""
        now_ms = start_ms
        for index, point in enumerate(self.points):
            if point.at_ms <= now_ms:
                continue
            rate_bps = self.rate_bps(now_ms)
            slope = 0.0  # bits a second, per ms
            if point.is_ramp and index:
                slope = (point.rate_bps - rate_bps) / (point.at_ms - now_ms)
            needed_ms = _time_for(bits, rate_bps, slope)
            if now_ms + needed_ms <= point.at_ms:
                return now_ms + needed_ms
            length_ms = point.at_ms - now_ms
            bits -= (rate_bps * length_ms + slope * length_ms**2 / 2) / 1000
            now_ms = point.at_ms
        return now_ms + _time_for(bits, self.points[-1].rate_bps, 0.0)


def constant_rate(rate_bps: float) -> RateTrace:
    """A link that never changes."""
    return RateTrace(points=(RatePoint(at_ms=0, rate_bps=rate_bps),))


def parse_rate_trace(text: str) -> RateTrace:
    """From `300k`, or `300k,10:150k,20~300k`: a step to 150k at 10 s, a ramp up to 300k until 20 s.

    Raises ConfigError for anything else.
    """
    first, *others = text.split(",")
    points = [RatePoint(at_ms=0, rate_bps=parse_bitrate(first.strip()))]
    for other in others:
        match = _POINT.fullmatch(other.strip())
        if match is None:
            raise ConfigError(
                f"{other.strip()!r} is not SECONDS:RATE (a step) or SECONDS~RATE (a ramp)"
            )
        rate_bps = 0 if match[3] == "0" else parse_bitrate(match[3])
        at_ms = 1000 * float(match[1])
        points.append(RatePoint(at_ms=at_ms, rate_bps=rate_bps, is_ramp=match[2] == "~"))
    return RateTrace(points=tuple(points))


def format_rate_trace(trace: RateTrace) -> str:
    """The text that `parse_rate_trace` reads back, for whole bits a second."""
    parts = [format_bitrate(round(trace.points[0].rate_bps))]
    parts += [
        f"{point.at_ms / 1000:g}{'~' if point.is_ramp else ':'}"
        f"{format_bitrate(round(point.rate_bps))}"
        for point in trace.points[1:]
    ]
    return ",".join(parts)


def _time_for(bits: float, rate_bps: float, slope: float) -> float:
    """Milliseconds until `bits` have passed at a rate that changes by `slope` bits/s each ms."""
    if bits <= 0:
        return 0.0
    if slope == 0:
        return bits * 1000 / rate_bps if rate_bps > 0 else math.inf
    # slope/2 t^2 + rate t - 1000 bits = 0
    discriminant = rate_bps**2 + 2000 * slope * bits
    if discriminant < 0:
        return math.inf  # the rate reaches 0 first
    return 2000 * bits / (rate_bps + math.sqrt(discriminant))
