from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.bandwidth.curves import (
    BdRate,
    Curve,
    Lead,
    RatePoint,
    bd_rate,
    bootstrap_interval,
    crossover,
    envelope,
    geometric_mean,
    pareto,
    quality_at,
    rate_for,
)


def curve(*pairs: tuple[float, float]) -> Curve:
    return pareto(RatePoint(bps=bps, quality=quality) for bps, quality in pairs)


TYPICAL = curve((100e3, 28.0), (200e3, 31.0), (400e3, 33.5), (800e3, 35.5), (1600e3, 37.0))


def shifted(by: float = 0.0, times: float = 1.0) -> Curve:
    return curve(*((times * point.bps, point.quality + by) for point in TYPICAL))


def percent(found: BdRate) -> float:
    assert found.percent is not None, found
    return found.percent


# Published with their results in JCTVC-E137, as fractions of one.
E137 = (
    (
        ((108048.8736, 43.6471), (61279.976, 40.3953), (33905.6656, 37.247), (18883.6928, 34.2911)),
        (
            (108061.2784, 43.6768),
            (61299.9936, 40.4232),
            (33928.7472, 37.2761),
            (18910.912, 34.3147),
        ),
        -0.465215420752807,
    ),
    (
        ((40433.8848, 37.5761), (7622.7456, 35.3756), (2394.488, 33.8977), (1017.6184, 32.0603)),
        ((40370.12, 37.5982), (7587.0024, 35.4025), (2390.0944, 33.9194), (1017.0984, 32.0822)),
        -1.8779823450567612,
    ),
)


@pytest.mark.parametrize(("anchor", "test", "published"), E137)
def test_published_bd_rates_are_reproduced(
    anchor: tuple[tuple[float, float], ...],
    test: tuple[tuple[float, float], ...],
    published: float,
) -> None:
    assert percent(bd_rate(curve(*anchor), curve(*test))) == pytest.approx(published, abs=0.1)


def test_a_curve_costs_nothing_more_than_itself_and_twice_as_much_at_twice_the_rate() -> None:
    assert percent(bd_rate(TYPICAL, TYPICAL)) == pytest.approx(0, abs=1e-9)
    assert percent(bd_rate(TYPICAL, shifted(times=2))) == pytest.approx(100, abs=1e-6)
    assert percent(bd_rate(TYPICAL, shifted(times=0.25))) == pytest.approx(-75, abs=1e-6)


def test_better_quality_at_the_same_rates_saves_bits() -> None:
    assert percent(bd_rate(TYPICAL, shifted(by=1))) < -10


def test_curves_without_enough_overlap_are_not_compared() -> None:
    far = shifted(by=20)
    assert bd_rate(TYPICAL, far) == BdRate(percent=None, overlap=0.0, reason="no overlap")
    near = bd_rate(TYPICAL, shifted(by=6))
    assert (near.percent, near.reason) == (None, "not enough overlap")
    assert 0 < near.overlap < 0.5
    few = bd_rate(TYPICAL, TYPICAL[:2])
    assert (few.percent, few.reason) == (None, "too few points")


def test_points_that_a_cheaper_one_beats_are_left_out() -> None:
    points = [RatePoint(bps=b, quality=q) for b, q in ((1, 5), (2, 4), (2, 6), (3, 6), (4, 7))]
    assert [(point.bps, point.quality) for point in pareto(points)] == [(1, 5), (2, 6), (4, 7)]


def test_the_hull_of_two_rungs_is_the_better_one_at_each_rate_and_promises_no_more() -> None:
    small = curve((50, 20.0), (100, 30.0), (400, 33.0))
    large = curve((80, 5.0), (160, 25.0), (320, 38.0), (640, 45.0))
    hull = envelope([small, large])
    assert hull[0] == small[0]
    assert hull[-1] == large[-1]
    for point in hull:
        reached = [quality_at(each, point.bps) for each in (small, large)]
        assert point.quality == max(quality for quality in reached if quality is not None)
    assert quality_at(hull, 100) == pytest.approx(30.0)
    assert quality_at(hull, 320) == pytest.approx(38.0)


def test_rates_and_qualities_are_told_between_points_alone() -> None:
    assert rate_for(TYPICAL, 28.0) == pytest.approx(100e3)
    assert rate_for(TYPICAL, 29.5) == pytest.approx(math.sqrt(100e3 * 200e3))
    assert rate_for(TYPICAL, 27.9) is None
    assert rate_for(TYPICAL, 37.1) is None
    assert quality_at(TYPICAL, 99e3) is None
    assert quality_at(TYPICAL, 1700e3) is None


def test_the_crossover_is_the_rate_at_which_the_lead_changes() -> None:
    flat = curve((100e3, 31.0), (1600e3, 34.0))
    found = crossover(flat, TYPICAL)
    assert found.lead is Lead.UP_TO
    assert found.bps is not None
    assert quality_at(flat, found.bps) == pytest.approx(quality_at(TYPICAL, found.bps))
    assert crossover(TYPICAL, flat).lead is Lead.FROM
    assert crossover(shifted(by=1), TYPICAL).lead is Lead.ALWAYS
    assert crossover(shifted(by=-1), TYPICAL).lead is Lead.NEVER
    assert crossover(TYPICAL, shifted(times=100)).lead is Lead.UNKNOWN
    assert crossover(TYPICAL, ()).lead is Lead.UNKNOWN


def test_the_bootstrap_interval_holds_the_mean_and_narrows_with_more_clips() -> None:
    rng = np.random.default_rng(1)
    few, many = rng.normal(-40, 10, 5).tolist(), rng.normal(-40, 10, 80).tolist()
    ends = [bootstrap_interval(values) for values in (few, many)]
    for values, interval in zip((few, many), ends, strict=True):
        assert interval is not None
        assert interval[0] < np.mean(values) < interval[1]
    assert ends[0] is not None
    assert ends[1] is not None
    assert ends[1][1] - ends[1][0] < ends[0][1] - ends[0][0]
    assert bootstrap_interval(few) == ends[0]
    assert bootstrap_interval([-40.0, -50.0]) is None


def test_ratios_are_averaged_so_that_twice_and_half_cancel() -> None:
    assert geometric_mean([2.0, 0.5]) == pytest.approx(1)
