"""The token bucket of each address, on a clock of the test's own."""

from __future__ import annotations

import math

import pytest

from stream.errors import ConfigError
from stream.request_rate import BURST_S, MAX_ADDRESSES, RequestRate


def test_a_burst_passes_then_only_the_rate() -> None:
    rate = RequestRate(5)
    burst = int(5 * BURST_S)
    assert [rate.wait_s("a", now_ms=0.0) for _ in range(burst)] == [0] * burst
    assert rate.wait_s("a", now_ms=0.0) == 1
    passed = sum(rate.wait_s("a", now_ms=now_ms) == 0 for now_ms in range(1, 10_001, 10))
    assert passed == pytest.approx(50, abs=1)


def test_one_address_does_not_use_up_anothers_share() -> None:
    rate = RequestRate(1)
    while rate.wait_s("a", now_ms=0.0) == 0:
        pass
    assert rate.wait_s("b", now_ms=0.0) == 0


def test_the_wait_that_is_told_is_long_enough() -> None:
    rate = RequestRate(0.1)
    now_ms = 0.0
    for _ in range(5):
        while wait_s := rate.wait_s("a", now_ms=now_ms):
            assert wait_s <= 10
            now_ms += 1000 * wait_s
    assert now_ms == pytest.approx(40_000)


def test_a_clock_that_steps_back_earns_nothing() -> None:
    rate = RequestRate(1)
    while rate.wait_s("a", now_ms=5000.0) == 0:
        pass
    assert rate.wait_s("a", now_ms=0.0) > 0


def test_many_addresses_do_not_fill_the_memory() -> None:
    rate = RequestRate(1)
    for number in range(MAX_ADDRESSES + 50):
        assert rate.wait_s(str(number), now_ms=0.0) == 0
    assert len(rate) == MAX_ADDRESSES


@pytest.mark.parametrize("requests_per_s", [0.0, -1.0, math.inf, math.nan])
def test_a_rate_that_is_none_is_refused(requests_per_s: float) -> None:
    with pytest.raises(ConfigError):
        RequestRate(requests_per_s)
