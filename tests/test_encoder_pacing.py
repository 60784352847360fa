"""Tests of `encoder.pacing`, with a clock that is a number."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.pacing import CATCH_UP_SPEED, Pacer

FRAME = 3_600
FRAME_MS = 40.0


def _play(
    pacer: Pacer, times: list[int], now_ms: float, stalls_ms: dict[int, float]
) -> list[float]:
    """When each frame leaves; `stalls_ms[n]` is how long reading frame n takes."""
    released = []
    for index, pts in enumerate(times):
        now_ms += stalls_ms.get(index, 0.0)
        now_ms += pacer.delay_ms(pts, now_ms)
        released.append(now_ms)
    return released


def test_frames_leave_at_their_own_spacing() -> None:
    times = [0, FRAME, 3 * FRAME, 3 * FRAME + 900]
    assert _play(Pacer(), times, 5000, {}) == [5000, 5040, 5120, 5130]


def test_slow_reading_within_a_frame_does_not_shift_the_clock() -> None:
    times = [n * FRAME for n in range(50)]
    released = _play(Pacer(), times, 0, dict.fromkeys(range(50), 30.0))
    assert released[-1] - released[0] == pytest.approx(49 * FRAME_MS)


def test_a_short_stall_is_caught_up_without_a_burst() -> None:
    times = [n * FRAME for n in range(60)]
    released = _play(Pacer(), times, 0, {10: 600.0})
    gaps = [later - earlier for earlier, later in pairwise(released[10:])]
    assert min(gaps) >= FRAME_MS / CATCH_UP_SPEED - 1e-6
    assert released[-1] == pytest.approx(59 * FRAME_MS)


def test_a_stall_of_more_than_a_second_starts_the_clock_anew() -> None:
    times = [n * FRAME for n in range(30)]
    released = _play(Pacer(), times, 0, {10: 5000.0})
    gaps = [later - earlier for earlier, later in pairwise(released[10:])]
    assert gaps == pytest.approx([FRAME_MS] * len(gaps))


@pytest.mark.parametrize("jump", [-200_000, 2_000_000])
def test_a_jump_of_pts_is_neither_waited_for_nor_hurried_after(jump: int) -> None:
    times = [0, FRAME, FRAME + jump, 2 * FRAME + jump, 3 * FRAME + jump]
    assert _play(Pacer(), times, 0, {}) == [0, 40, 40, 80, 120]


@given(st.lists(st.tuples(st.integers(-(2**33), 2**33), st.floats(0, 5000)), max_size=50))
def test_no_delay_is_negative_or_longer_than_a_jump_may_be(
    steps: list[tuple[int, float]],
) -> None:
    pacer, now_ms = Pacer(), 0.0
    for pts, elapsed_ms in steps:
        now_ms += elapsed_ms
        delay_ms = pacer.delay_ms(pts, now_ms)
        assert 0 <= delay_ms <= 20_000
        now_ms += delay_ms
