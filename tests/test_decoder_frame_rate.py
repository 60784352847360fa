import pytest

from decoder.frame_rate import DEFAULT_FPS, FRAMES_NEEDED, FrameRateGuess
from stream.frame import CLOCK_HZ


def _guess(*pts: int) -> FrameRateGuess:
    guess = FrameRateGuess()
    for each in pts:
        guess.add(each)
    return guess


@pytest.mark.parametrize("fps", [5, 12.5, 24, 25, 30, 50, 60, 24_000 / 1001, 30_000 / 1001])
def test_common_rates_are_recognised_exactly(fps: float) -> None:
    guess = _guess(*(round(7 + index * CLOCK_HZ / fps) for index in range(FRAMES_NEEDED)))
    assert guess.is_ready
    assert guess.fps == pytest.approx(fps, rel=1e-9)


def test_timestamps_in_whole_milliseconds_are_recognised_too() -> None:
    assert _guess(0, 33 * 90, 67 * 90).fps == 30
    assert _guess(0, 16 * 90, 33 * 90).fps == pytest.approx(60, rel=0.05)


def test_a_frame_lost_at_the_start_does_not_halve_the_rate() -> None:
    assert _guess(0, 2 * 3600, 3 * 3600).fps == 25
    assert _guess(0, 3600, 3 * 3600).fps == 25


def test_an_uncommon_rate_is_taken_as_measured() -> None:
    assert _guess(0, 9000 * 3, 18_000 * 3).fps == pytest.approx(10 / 3)


def test_with_fewer_than_two_frames_there_is_a_default() -> None:
    assert _guess().fps == _guess(5).fps == DEFAULT_FPS
    assert not _guess(0, 3600).is_ready


def test_rates_stay_in_range_whatever_the_timestamps() -> None:
    assert _guess(0, 1, 2).fps == 240
    assert _guess(0, 10**9, 2 * 10**9).fps == 1


def test_later_frames_change_nothing() -> None:
    assert _guess(0, 3600, 7200, 7201, 7202).fps == 25
