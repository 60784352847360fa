from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.content_limits import (
    HIGHEST_BPS,
    LOWEST_BPS,
    Content,
    ContentModel,
    coded_effort,
    fitted_limits,
)
from encoder.ladder import Ladder

MODEL = ContentModel(kept=(0.8, 0.9, 1.0), growth=(1.0, 2.0, 3.5))
USUAL = (150_000.0, 900_000.0)
USUAL_CONTENT = Content(shrunk=(30.0, 6.0, 0.0), rung=1, coded=coded_effort(20.0, 300_000))


def limits(content: Content) -> tuple[float, ...]:
    return fitted_limits(MODEL, content, USUAL)


def test_pictures_that_are_hard_to_code_stay_small_up_to_higher_rates() -> None:
    hard = Content(shrunk=USUAL_CONTENT.shrunk, rung=1, coded=4 * USUAL_CONTENT.coded)
    assert all(a > 2 * b for a, b in zip(limits(hard), limits(USUAL_CONTENT), strict=True))


def test_pictures_with_much_detail_become_large_at_lower_rates() -> None:
    detailed = Content(shrunk=(300.0, 60.0, 0.0), rung=1, coded=USUAL_CONTENT.coded)
    assert all(a < 0.5 * b for a, b in zip(limits(detailed), limits(USUAL_CONTENT), strict=True))


def test_pictures_that_lose_nothing_by_shrinking_stay_small_at_any_rate_in_use() -> None:
    blurred = Content(shrunk=(0.0, 0.0, 0.0), rung=0, coded=USUAL_CONTENT.coded)
    assert limits(blurred)[0] > 5_000_000


def test_a_still_picture_is_sent_in_full_at_low_rates() -> None:
    still = Content(shrunk=(200.0, 50.0, 0.0), rung=1, coded=coded_effort(0.1, 100_000))
    assert limits(still)[1] < 60_000


def test_it_does_not_matter_on_which_rung_the_errors_were_measured() -> None:
    for rung, growth in enumerate(MODEL.growth):
        coded = USUAL_CONTENT.coded * growth / MODEL.growth[1]
        there = Content(shrunk=USUAL_CONTENT.shrunk, rung=rung, coded=coded)
        assert limits(there) == pytest.approx(limits(USUAL_CONTENT))


def test_at_a_limit_both_sizes_lose_the_same_but_for_what_is_usual() -> None:
    usual = fitted_limits(MODEL, USUAL_CONTENT, USUAL)
    again = fitted_limits(MODEL, USUAL_CONTENT, usual)  # with what it gives taken for usual
    for _ in range(20):
        again = fitted_limits(MODEL, USUAL_CONTENT, again)
    for rung, bps in enumerate(again):
        at_smallest = USUAL_CONTENT.coded / MODEL.growth[1] / coded_effort(1.0, bps)
        here, above = (
            MODEL.kept[each] * USUAL_CONTENT.shrunk[each] + MODEL.growth[each] * at_smallest
            for each in (rung, rung + 1)
        )
        assert here == pytest.approx(above, rel=1e-3)


@given(
    shrunk=st.lists(st.floats(0, 70_000), min_size=3, max_size=3),
    rung=st.integers(0, 2),
    coded=st.floats(0, 1e13),
)
def test_limits_of_any_content_rise_and_stay_in_range(
    shrunk: list[float], rung: int, coded: float
) -> None:
    found = limits(Content(shrunk=tuple(shrunk), rung=rung, coded=coded))
    assert all(a <= b for a, b in pairwise(found))
    assert all(LOWEST_BPS <= bps <= HIGHEST_BPS for bps in found)


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_the_ladder_in_use_follows_content_on_every_rung(codec: str) -> None:
    ladder = Ladder(codec=codec)
    assert ladder.knows_content
    shrunk = (*(40.0 / 6**rung for rung in range(ladder.top)), 0.0)
    fitted = ladder.fitted(Content(shrunk=shrunk, rung=1, coded=coded_effort(25.0, 150_000)))
    assert fitted.top == ladder.top
    assert fitted.rung_for(30_000) == 0
    assert fitted.rung_for(20_000_000) == ladder.top
    assert ladder.limits_bps(1) == Ladder(codec=codec).limits_bps(1)  # itself it stays the same
