from decoder.viewing.compression import MOST_SHARE, SHARE_FRAMES, TooSlow

INTERVAL = 3600
INTERVAL_S = 0.04


def said(shares: list[float]) -> list[bool]:
    slow = TooSlow()
    return [
        slow.note(pts=index * INTERVAL, took_s=share * INTERVAL_S)
        for index, share in enumerate(shares)
    ]


def test_a_codec_that_takes_most_of_the_time_is_too_slow_but_not_at_once() -> None:
    answers = said([MOST_SHARE + 0.1] * (SHARE_FRAMES + 5))
    assert answers.index(True) == SHARE_FRAMES


def test_one_that_keeps_up_is_not_whatever_a_single_picture_takes() -> None:
    assert not any(said([MOST_SHARE - 0.1] * 100 + [5.0] + [MOST_SHARE - 0.1] * 100))


def test_pauses_and_steps_back_count_for_nothing() -> None:
    slow = TooSlow()
    answers = [slow.note(pts=pts, took_s=9.0) for pts in (0, 500_000, 0, 0, 900_000) * 30]
    assert not any(answers)
