from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.stats import Percentiles, RateMeter


def test_percentiles_are_nearest_ranks() -> None:
    values = Percentiles()
    for value in range(1, 101):
        values.add(float(value))
    assert values.summary() == {"p50": 50.0, "p95": 95.0, "p99": 99.0}
    assert (values.p(0), values.p(100)) == (1.0, 100.0)


def test_no_values_give_zero() -> None:
    assert Percentiles().p(50) == 0.0


def test_only_the_newest_values_count() -> None:
    values = Percentiles(10)
    for value in range(1000):
        values.add(float(value))
    assert values.p(0) == 990.0
    assert values.count == 1000


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_left_out(value: float) -> None:
    values = Percentiles()
    values.add(1.0)
    values.add(value)
    assert (values.count, values.p(100)) == (1, 1.0)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0, 100))
def test_a_percentile_is_one_of_the_values_and_enough_of_them_are_not_above_it(
    values: list[float], percent: float
) -> None:
    reservoir = Percentiles()
    for value in values:
        reservoir.add(value)
    result = reservoir.p(percent)
    assert result in values
    assert sum(value <= result for value in values) >= percent / 100 * len(values) - 1e-9


def test_a_rate_covers_the_last_second_only() -> None:
    meter = RateMeter()
    meter.add(1000, now_ms=0)
    meter.add(500, now_ms=900)
    assert meter.rate_bps(now_ms=950) == 12_000
    assert meter.rate_bps(now_ms=1500) == 4000
    assert meter.rate_bps(now_ms=5000) == 0
    assert meter.total_bytes == 1500
