from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.rate_trim import LEAST, MOST, RateTrim
from stream.frame import CLOCK_HZ

STEP = CLOCK_HZ // 25
TARGET_BPS = 100_000


def drive(codec_share: float, *, frames: int, wish: float = 1.0) -> list[int]:
    """The bits of a codec that makes `codec_share` of what it is told, and never more than `wish`
    times the target has room for."""
    trim = RateTrim()
    spent = []
    for index in range(frames):
        told = TARGET_BPS * trim.share(index * STEP)
        bits = round(min(codec_share * told, wish * TARGET_BPS) / 25)
        trim.note(index * STEP, bits=bits, target_bps=TARGET_BPS)
        spent.append(bits)
    return spent


@pytest.mark.parametrize("codec_share", [0.85, 1.0, 1.15])
def test_a_codec_that_misses_its_rate_meets_it_in_the_mean(codec_share: float) -> None:
    bits = drive(codec_share, frames=300, wish=9.0)
    assert sum(bits[100:]) / 8 == pytest.approx(TARGET_BPS, rel=0.06)


def test_a_still_picture_earns_no_more_than_the_range() -> None:
    bits = drive(1.0, frames=100, wish=0.1)
    assert max(bits) <= 0.1 * TARGET_BPS / 25 + 1


def test_a_full_second_is_told_less_than_the_target() -> None:
    trim = RateTrim()
    for index in range(25):
        trim.share(index * STEP)
        trim.note(index * STEP, bits=4800, target_bps=TARGET_BPS)  # 1.2 times
    assert trim.share(25 * STEP) == LEAST


@given(
    st.lists(
        st.tuples(
            st.integers(1, 9 * CLOCK_HZ), st.integers(0, 10**7), st.integers(30_000, 5_000_000)
        ),
        max_size=50,
    )
)
def test_any_history_stays_in_range(history: list[tuple[int, int, int]]) -> None:
    trim, pts = RateTrim(), 0
    for interval, bits, target_bps in history:
        pts += interval
        assert LEAST <= trim.share(pts) <= MOST
        trim.note(pts, bits=bits, target_bps=target_bps)
