"""Bjøntegaard's delta rate: how many bits one way of restoring saves against another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MIN_POINTS = 3
"""Fewer are no curve."""

MIN_OVERLAP = 0.5
"""Share of the smaller quality range that both curves must have; nothing is extrapolated."""

RatePoint = tuple[float, float]
"""Bits a second and quality, more of which is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BdRate:
    """percent: bits more (negative: fewer) at equal quality; None when `reason` says why not.

    overlap: share of the smaller quality range that was compared, 0 to 1.
    """

    percent: float | None
    overlap: float = 0.0
    reason: str = ""


def bd_rate(anchor: Sequence[RatePoint], tested: Sequence[RatePoint]) -> BdRate:
    """BD-rate (VCEG-M33) of `tested` against `anchor`, interpolated piecewise (JCTVC-L1100).

    Raises ImportError when the package bjontegaard is not installed.
    """
    curves = sorted(anchor), sorted(tested)
    for curve in curves:
        if len(curve) < MIN_POINTS:
            return BdRate(percent=None, reason=f"a curve needs {MIN_POINTS} bitrates")
        if not all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(curve)):  # nor NaN
            return BdRate(percent=None, reason="more bits without more quality")
    low = max(curve[0][1] for curve in curves)
    high = min(curve[-1][1] for curve in curves)
    overlap = max(0.0, high - low) / min(curve[-1][1] - curve[0][1] for curve in curves)
    if overlap < MIN_OVERLAP:
        reason = f"curves overlap by {overlap:.0%} only"
        return BdRate(percent=None, overlap=overlap, reason=reason)
    import bjontegaard

    (rates, qualities), (tested_rates, tested_qualities) = (
        zip(*curve, strict=True) for curve in curves
    )
    percent = bjontegaard.bd_rate(
        list(rates),
        list(qualities),
        list(tested_rates),
        list(tested_qualities),
        method="pchip",
        require_matching_points=False,
        min_overlap=0,  # checked above
    )
    return BdRate(percent=float(percent), overlap=overlap)
