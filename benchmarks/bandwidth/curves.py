"""Rate-quality curves: what is best of many points, and how far apart two curves are. No I/O.

Rates are bits a second, on a logarithmic axis wherever two points are connected.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

import numpy as np

MIN_OVERLAP = 0.5
"""Of the smaller of two curves' quality ranges, this share must lie in the other's."""

MIN_POINTS = 3
"""Fewer points are no curve."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RatePoint:
    """bps: bits a second, above 0. quality: in the metric's own unit, higher is better."""

    bps: float
    quality: float


Curve = tuple[RatePoint, ...]
"""By rising rate, rising strictly in quality too."""


def pareto(points: Iterable[RatePoint]) -> Curve:
    """The points that no cheaper one equals or beats, by rising rate."""
    best: list[RatePoint] = []
    for point in sorted(points, key=lambda p: (p.bps, -p.quality)):
        if not best or (point.quality > best[-1].quality and point.bps > best[-1].bps):
            best.append(point)
    return tuple(best)


def envelope(curves: Iterable[Curve]) -> Curve:
    """What choosing the best of several curves at every rate gives: their upper hull.

    Each curve is connected only with itself. The convex hull of all points, which is what one
    gets from mixing two rungs over time, would promise more than any rung gives where quality
    bends upwards with the rate, as VMAF does at its lower end.
    """
    curves = [curve for curve in curves if curve]
    points = [point for curve in curves for point in curve]
    best = []
    for bps in sorted({point.bps for point in points}):
        reached = [quality_at(curve, bps) for curve in curves]
        reached += [point.quality for point in points if point.bps == bps]
        best.append(RatePoint(bps=bps, quality=max(q for q in reached if q is not None)))
    return pareto(best)


@dataclass(frozen=True, slots=True, kw_only=True)
class BdRate:
    """How many per cent more bits the tested curve needs (negative: fewer) at equal quality.

    percent: None when it cannot be told, and `reason` says why. overlap: share of the smaller
    quality range that both have, which is where they are compared; 0 to 1.
    """

    percent: float | None
    overlap: float
    reason: str = ""


def bd_rate(anchor: Sequence[RatePoint], test: Sequence[RatePoint]) -> BdRate:
    """Bjøntegaard's delta rate (VCEG-M33) with piecewise cubic interpolation as in JCTVC-L1100.

    Only over the qualities that both curves reach; nothing is extrapolated.
    """
    anchor, test = pareto(anchor), pareto(test)
    if min(len(anchor), len(test)) < MIN_POINTS:
        return BdRate(percent=None, overlap=0.0, reason="too few points")
    overlap = _overlap(anchor, test)
    if overlap < MIN_OVERLAP:
        reason = "no overlap" if overlap <= 0 else "not enough overlap"
        return BdRate(percent=None, overlap=max(0.0, overlap), reason=reason)
    import bjontegaard

    percent = bjontegaard.bd_rate(
        [point.bps for point in anchor],
        [point.quality for point in anchor],
        [point.bps for point in test],
        [point.quality for point in test],
        method="pchip",
        require_matching_points=False,
        min_overlap=0,  # checked above, in another way
    )
    return BdRate(percent=float(percent), overlap=overlap)


def rate_for(curve: Curve, quality: float) -> float | None:
    """Bits a second at which a curve reaches a quality; None where it has no points around it."""
    for low, high in pairwise(curve):
        if low.quality <= quality <= high.quality:
            share = (quality - low.quality) / (high.quality - low.quality)
            return math.exp(_mix(math.log(low.bps), math.log(high.bps), share))
    return None


def quality_at(curve: Curve, bps: float) -> float | None:
    """Quality of a curve at a rate; None where it has no points around it."""
    for low, high in pairwise(curve):
        if low.bps <= bps <= high.bps:
            share = math.log(bps / low.bps) / math.log(high.bps / low.bps)
            return _mix(low.quality, high.quality, share)
    return None


class Lead(Enum):
    """Which of two curves is ahead where both have points."""

    ALWAYS = "always"
    NEVER = "never"
    UP_TO = "up to"
    FROM = "from"
    UNKNOWN = "no common rates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """Where a curve stops being ahead of another.

    bps: the rate of the last change of lead, for UP_TO (ahead below it) and FROM (ahead above it).
    low_bps, high_bps: the rates that both curves have; None when they have none.
    """

    lead: Lead
    bps: float | None = None
    low_bps: float | None = None
    high_bps: float | None = None


def crossover(curve: Curve, other: Curve) -> Crossover:
    """Up to which rate `curve` shows more than `other`, looking only at rates that both have."""
    if min(len(curve), len(other)) < 2:
        return Crossover(lead=Lead.UNKNOWN)
    low, high = max(curve[0].bps, other[0].bps), min(curve[-1].bps, other[-1].bps)
    if low >= high:
        return Crossover(lead=Lead.UNKNOWN)
    inside = [point.bps for point in (*curve, *other) if low < point.bps < high]
    rates = sorted({low, high, *inside})
    ahead = [_ahead(curve, other, bps) for bps in rates]
    changes = [i for i in range(1, len(rates)) if (ahead[i] > 0) != (ahead[i - 1] > 0)]
    if not changes:
        lead = Lead.ALWAYS if ahead[0] > 0 else Lead.NEVER
        return Crossover(lead=lead, low_bps=low, high_bps=high)
    last = changes[-1]
    share = ahead[last - 1] / (ahead[last - 1] - ahead[last])
    bps = math.exp(_mix(math.log(rates[last - 1]), math.log(rates[last]), share))
    lead = Lead.FROM if ahead[last] > 0 else Lead.UP_TO
    return Crossover(lead=lead, bps=bps, low_bps=low, high_bps=high)


def bootstrap_interval(
    values: Sequence[float], *, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float] | None:
    """95 % interval of the mean over clips, by resampling them; None for fewer than three."""
    if len(values) < 3:
        return None
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(values), (resamples, len(values)))
    means = np.asarray(values, np.float64)[drawn].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def geometric_mean(values: Sequence[float]) -> float:
    """Of positive values, at least one: how ratios and rates are averaged."""
    return math.exp(sum(map(math.log, values)) / len(values))


def _overlap(a: Curve, b: Curve) -> float:
    low = max(a[0].quality, b[0].quality)
    high = min(a[-1].quality, b[-1].quality)
    return (high - low) / min(a[-1].quality - a[0].quality, b[-1].quality - b[0].quality)


def _mix(a: float, b: float, share: float) -> float:
    return a + share * (b - a)


def _ahead(curve: Curve, other: Curve, bps: float) -> float:
    ours, theirs = quality_at(curve, bps), quality_at(other, bps)
    assert ours is not None
    assert theirs is not None
    return ours - theirs
