import math

import pytest

from decoder.training.bd_rate import bd_rate

CURVE = [(100.0 * 2**step, 30.0 + 2 * step) for step in range(4)]


def test_a_curve_that_needs_a_part_of_the_bits_is_that_much_better() -> None:
    found = bd_rate(CURVE, [(0.8 * bps, quality) for bps, quality in CURVE])
    assert found.percent == pytest.approx(-20, abs=0.01)
    assert found.overlap == 1
    assert bd_rate(CURVE, list(reversed(CURVE))).percent == pytest.approx(0, abs=1e-9)


def test_half_a_decibel_at_two_decibels_an_octave_is_a_quarter_of_an_octave() -> None:
    found = bd_rate(CURVE, [(bps, quality + 0.5) for bps, quality in CURVE])
    assert found.percent == pytest.approx(100 * (2**-0.25 - 1), abs=0.2)
    assert found.overlap == pytest.approx(5.5 / 6)


@pytest.mark.parametrize(
    ("tested", "reason"),
    [
        (CURVE[:2], "needs 3 bitrates"),
        ([(bps, 31.0) for bps, _ in CURVE], "more bits without more quality"),
        ([(bps, -quality) for bps, quality in CURVE], "more bits without more quality"),
        ([(bps, quality + 4) for bps, quality in CURVE], "overlap by 33% only"),
        ([(bps, quality + 60) for bps, quality in CURVE], "overlap by 0% only"),
        ([(bps, math.nan) for bps, _ in CURVE], "more bits without more quality"),
    ],
)
def test_curves_that_cannot_be_compared_say_why(
    tested: list[tuple[float, float]], reason: str
) -> None:
    found = bd_rate(CURVE, tested)
    assert found.percent is None
    assert reason in found.reason
