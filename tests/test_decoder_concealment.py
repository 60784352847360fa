from __future__ import annotations

from dataclasses import replace

from decoder.concealment import LONGEST_HOLD, Concealment
from stream.frame import CLOCK_HZ, Frame
from tests.tiny_artefact import textured_frame

STEP = CLOCK_HZ // 25


def frame(index: int, *, is_damaged: bool = False) -> Frame:
    return replace(textured_frame(0, width=16, height=16, pts=index * STEP), is_damaged=is_damaged)


def test_damaged_frames_are_held_for_less_than_half_a_second_and_then_shown() -> None:
    concealment = Concealment()
    assert concealment.judge(frame(0)) == (False, False)
    held = [concealment.judge(frame(index, is_damaged=True))[0] for index in range(1, 30)]
    count = LONGEST_HOLD // STEP
    assert 9 <= count <= 12
    assert held == [True] * count + [False] * (29 - count)


def test_lost_frames_before_the_damage_count_as_time_without_movement() -> None:
    concealment = Concealment()
    concealment.judge(frame(0))
    assert concealment.judge(frame(9, is_damaged=True)) == (True, False)
    assert concealment.judge(frame(11, is_damaged=True)) == (False, False)


def test_after_shown_damage_a_good_frame_begins_anew_and_after_held_damage_it_goes_on() -> None:
    concealment = Concealment()
    concealment.judge(frame(0))
    concealment.judge(frame(1, is_damaged=True))
    assert concealment.judge(frame(2)) == (False, False)
    concealment.judge(frame(20, is_damaged=True))
    assert concealment.judge(frame(21)) == (False, True)
    assert concealment.judge(frame(22)) == (False, False)


def test_damage_from_the_start_is_shown_since_there_is_nothing_else() -> None:
    concealment = Concealment()
    assert concealment.judge(frame(0, is_damaged=True)) == (False, False)
    assert concealment.judge(frame(1)) == (False, True)


def test_time_that_jumps_back_holds_nothing() -> None:
    concealment = Concealment()
    concealment.judge(frame(100))
    assert concealment.judge(frame(3, is_damaged=True)) == (False, False)
