from __future__ import annotations

import math

import pytest

from encoder.speed_control import IDLE_FRAMES, MOST_STEPS, SETTLING_MS, WINDOW_FRAMES, SpeedControl

INTERVAL_MS = 40.0


class Coding:
    """A codec that takes so many ms a frame as planned, and a third less with each step."""

    def __init__(self) -> None:
        self.control = SpeedControl(frame_interval_ms=INTERVAL_MS)
        self.frames = 0
        self.changes: list[tuple[int, int]] = []  # (frame, steps)

    def run(self, frames: int, *, planned_ms: float) -> None:
        for _ in range(frames):
            encode_ms = planned_ms * (2 / 3) ** self.control.steps
            if self.control.note(encode_ms, now_ms=INTERVAL_MS * self.frames):
                self.changes.append((self.frames, self.control.steps))
            self.frames += 1


@pytest.mark.parametrize("planned_ms", [5, 20, 28])
def test_a_machine_that_keeps_up_gets_what_was_planned(planned_ms: float) -> None:
    coding = Coding()
    coding.run(2000, planned_ms=planned_ms)
    assert coding.changes == []


def test_on_a_slow_machine_presets_get_faster_until_it_keeps_up_and_stay_there() -> None:
    coding = Coding()
    coding.run(3000, planned_ms=60)  # 40, 27: the second step keeps up
    second = WINDOW_FRAMES - 1 + math.ceil(SETTLING_MS / INTERVAL_MS)
    assert coding.changes == [(WINDOW_FRAMES - 1, 1), (second, 2)]


def test_single_slow_frames_change_nothing() -> None:
    coding = Coding()
    for _ in range(100):
        coding.run(1, planned_ms=300)
        coding.run(WINDOW_FRAMES - 1, planned_ms=5)
    assert coding.changes == []


def test_when_the_machine_is_free_again_the_planned_preset_comes_back_step_by_step() -> None:
    coding = Coding()
    coding.run(200, planned_ms=60)
    assert coding.control.steps == 2
    coding.run(3 * IDLE_FRAMES, planned_ms=6)
    assert coding.control.steps == 0


def test_tries_that_fail_become_rare() -> None:
    coding = Coding()
    for _ in range(60):  # each minute: free until it is tried, then busy again
        coding.run(2 * IDLE_FRAMES, planned_ms=6)
        coding.run(1500 - 2 * IDLE_FRAMES, planned_ms=35)
    assert len(coding.changes) < 30


def test_there_is_an_end_to_it() -> None:
    coding = Coding()
    coding.run(1000, planned_ms=10_000)
    assert coding.control.steps == MOST_STEPS
