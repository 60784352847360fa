"""Waits between attempts: growing, bounded, spread, repeatable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.backoff import Backoff, BackoffConfig
from stream.errors import ConfigError

PLAIN = BackoffConfig(first_s=1.0, longest_s=10.0, factor=2.0, jitter_ratio=0.0)


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(PLAIN)
    assert [backoff.next_delay_s() for _ in range(6)] == [1, 2, 4, 8, 10, 10]


def test_reaching_the_peer_starts_over() -> None:
    backoff = Backoff(PLAIN)
    assert [backoff.next_delay_s(), backoff.next_delay_s()] == [1, 2]
    backoff.reset()
    assert backoff.next_delay_s() == 1


def test_the_peer_can_ask_for_a_longer_wait_but_not_a_shorter_one() -> None:
    backoff = Backoff(PLAIN)
    assert backoff.next_delay_s(retry_after_s=30.0) == 30
    assert backoff.next_delay_s(retry_after_s=0.5) == 2


def test_the_same_seed_gives_the_same_waits_and_another_one_others() -> None:
    waits = [[Backoff(seed=seed).next_delay_s() for _ in range(1)] for seed in (1, 1, 2)]
    assert waits[0] == waits[1] != waits[2]


def test_a_year_of_failures_still_has_a_finite_wait() -> None:
    backoff = Backoff(PLAIN)
    assert max(backoff.next_delay_s() for _ in range(5000)) == 10


@given(
    seed=st.integers(),
    jitter_ratio=st.floats(0, 1),
    factor=st.floats(1, 1e308),
    failures=st.integers(1, 40),
)
def test_every_wait_lies_between_its_jittered_and_its_full_length(
    seed: int, jitter_ratio: float, factor: float, failures: int
) -> None:
    config = BackoffConfig(first_s=0.5, longest_s=15.0, factor=factor, jitter_ratio=jitter_ratio)
    backoff = Backoff(config, seed=seed)
    full_s = config.first_s
    for _ in range(failures):
        delay_s = backoff.next_delay_s()
        assert full_s * (1 - jitter_ratio) <= delay_s <= full_s
        full_s = min(config.longest_s, full_s * factor)


@pytest.mark.parametrize(
    "values",
    [
        {"first_s": 0.0},
        {"first_s": 20.0, "longest_s": 10.0},
        {"longest_s": float("inf")},
        {"first_s": float("nan")},
        {"factor": 0.5},
        {"factor": float("inf")},
        {"jitter_ratio": -0.1},
        {"jitter_ratio": 1.1},
    ],
)
def test_impossible_waits_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        BackoffConfig(**values)
