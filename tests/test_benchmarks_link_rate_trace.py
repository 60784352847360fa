from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.link.rate_trace import (
    RatePoint,
    RateTrace,
    constant_rate,
    format_rate_trace,
    parse_rate_trace,
)
from stream.errors import ConfigError

STEPS = parse_rate_trace("300k,10:150k,20~300k")


@pytest.mark.parametrize(
    ("at_ms", "rate_bps"),
    [(-1, 300e3), (0, 300e3), (9_999, 300e3), (10_000, 150e3), (15_000, 225e3), (30_000, 300e3)],
)
def test_a_rate_steps_and_ramps_as_written(at_ms: float, rate_bps: float) -> None:
    assert STEPS.rate_bps(at_ms) == pytest.approx(rate_bps)


def test_a_trace_reads_back_as_it_was_written() -> None:
    assert parse_rate_trace(format_rate_trace(STEPS)) == STEPS
    assert parse_rate_trace("1M, 2s:0").points[1] == RatePoint(at_ms=2000, rate_bps=0)


@pytest.mark.parametrize(
    ("trace", "start_ms", "bits", "finish_ms"),
    [
        (constant_rate(100e3), 5.0, 1000, 15.0),
        (STEPS, 9_995.0, 3000, 10_005.0 + 5.0),  # half before the step, half at half the rate
        (STEPS, 10_000.0, 0.5 * (150e3 + 300e3) * 10, 20_000.0),  # all of the ramp
        (parse_rate_trace("100k,1:0,2:100k"), 990.0, 2000, 2_010.0),  # through an outage
        (parse_rate_trace("100k,1:0"), 990.0, 2000, math.inf),
        (parse_rate_trace("100k,1~0"), 0.0, 50_001, math.inf),
    ],
)
def test_bits_leave_when_the_rate_has_added_up_to_them(
    trace: RateTrace, start_ms: float, bits: float, finish_ms: float
) -> None:
    assert trace.finish_ms(start_ms, bits) == pytest.approx(finish_ms)


@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(1, 1000), st.booleans()), max_size=5),
    st.floats(0, 1000),
    st.floats(0, 10_000),
)
def test_finishing_agrees_with_adding_up_millisecond_by_millisecond(
    changes: list[tuple[int, int, bool]], start_ms: float, bits: float
) -> None:
    points, at_ms = [RatePoint(at_ms=0, rate_bps=50_000)], 0
    for wait_ms, rate_kbps, is_ramp in changes:
        at_ms += wait_ms
        points.append(RatePoint(at_ms=at_ms, rate_bps=1000 * rate_kbps, is_ramp=is_ramp))
    trace = RateTrace(points=tuple(points))
    finish_ms = trace.finish_ms(start_ms, bits)
    steps = 2000
    step_ms = (finish_ms - start_ms) / steps
    passed = sum(
        trace.rate_bps(start_ms + (index + 0.5) * step_ms) * step_ms / 1000
        for index in range(steps)
    )
    assert passed == pytest.approx(bits, rel=0.02, abs=2)


@pytest.mark.parametrize(
    "text", ["", "fast", "300k,10", "300k,10:", "300k,5:1k,5:2k", "300k,-1:1k"]
)
def test_a_trace_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_rate_trace(text)


def test_a_trace_needs_points_with_rates_that_exist() -> None:
    with pytest.raises(ConfigError):
        RateTrace(points=())
    with pytest.raises(ConfigError):
        constant_rate(-1)
    with pytest.raises(ConfigError):
        constant_rate(math.inf)
