"""Tests of `encoder.frame_rate`: dropping frames evenly."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.frame_rate import FrameRateLimiter
from stream.errors import ConfigError


def _kept(source_fps: float, target_fps: float, count: int, jitter: tuple[int, ...] = (0,)) -> int:
    limiter = FrameRateLimiter(target_fps)
    times = [round(n * 90_000 / source_fps) + jitter[n % len(jitter)] for n in range(count)]
    return sum(limiter.keep(each) for each in times)


@pytest.mark.parametrize(
    ("source_fps", "target_fps", "kept"),
    [(50, 25, 250), (30, 25, 417), (60, 24, 200), (25, 25, 500), (25, 60, 500), (29.97, 30, 500)],
)
def test_the_rate_asked_for_comes_out_and_never_more(
    source_fps: float, target_fps: float, kept: int
) -> None:
    assert _kept(source_fps, target_fps, 500) == pytest.approx(kept, abs=1)


def test_jitter_of_a_tenth_of_a_frame_loses_nothing_at_equal_rates() -> None:
    assert _kept(25, 25, 500, jitter=(0, 360, -360, 120)) == 500


def test_frames_are_dropped_evenly() -> None:
    limiter = FrameRateLimiter(25)
    kept = [n for n in range(120) if limiter.keep(n * 3000)]
    assert {later - earlier for earlier, later in pairwise(kept)} == {1, 2}
    assert max(len(_run) for _run in _runs(kept)) <= 6


def _runs(numbers: list[int]) -> list[list[int]]:
    runs: list[list[int]] = [[]]
    for number in numbers:
        if runs[-1] and number != runs[-1][-1] + 1:
            runs.append([])
        runs[-1].append(number)
    return runs


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=80), st.floats(1, 120))
def test_no_span_holds_more_frames_than_the_rate_allows(steps: list[int], fps: float) -> None:
    limiter = FrameRateLimiter(fps)
    now, kept = 0, []
    for step in steps:
        now += step
        if limiter.keep(now):
            kept.append(now)
    assert kept[0] == steps[0]
    assert len(kept) <= (kept[-1] - kept[0]) * fps / 90_000 + 1.5


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(fps: float) -> None:
    with pytest.raises(ConfigError, match="fps"):
        FrameRateLimiter(fps)
