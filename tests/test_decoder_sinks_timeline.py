from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from decoder.sinks.timeline import Timeline
from stream.audio import SAMPLE_RATE_HZ
from stream.frame import CLOCK_HZ
from tests.sink_media import sound

STEP = 3600
TEN_MS = SAMPLE_RATE_HZ // 100


def started(origin: int = 0) -> Timeline:
    timeline = Timeline(frame_duration=STEP)
    assert timeline.place_video(origin) == 0
    return timeline


def test_first_frame_is_at_zero_and_variable_steps_are_kept() -> None:
    timeline = started(origin=777_000)
    assert [timeline.place_video(777_000 + pts) for pts in (3600, 3601, 12_345)] == [
        3600,
        3601,
        12_345,
    ]


def test_a_late_or_repeated_frame_has_no_place() -> None:
    timeline = started()
    assert timeline.place_video(7200) == 7200
    assert timeline.place_video(7200) is None
    assert timeline.place_video(3600) is None
    assert timeline.place_video(10_800) == 10_800


def test_a_clock_that_restarts_goes_on_one_frame_later() -> None:
    timeline = started(origin=5 * CLOCK_HZ)
    assert timeline.place_video(15 * CLOCK_HZ) == 10 * CLOCK_HZ
    assert timeline.place_video(0) == 10 * CLOCK_HZ + STEP
    assert timeline.place_video(STEP) == 10 * CLOCK_HZ + 2 * STEP


def test_a_clock_that_leaps_ahead_goes_on_one_frame_later() -> None:
    timeline = started()
    assert timeline.place_video(2**33) == STEP
    assert timeline.place_video(2**33 + STEP) == 2 * STEP


def test_sound_has_no_place_before_the_first_frame_has_one() -> None:
    timeline = Timeline(frame_duration=STEP)
    assert not timeline.has_started
    assert timeline.place_audio(sound(0)) is None


def test_sound_from_before_the_first_frame_is_cut_to_the_sample() -> None:
    timeline = started(origin=CLOCK_HZ)
    chunk = sound(SAMPLE_RATE_HZ - 100, amplitude=5000)
    samples = timeline.place_audio(chunk)
    assert samples is not None
    np.testing.assert_array_equal(samples, chunk.samples[100:])


def test_missing_sound_becomes_silence_of_the_same_length() -> None:
    timeline = started()
    assert timeline.place_audio(sound(0, amplitude=5000)) is not None
    later = sound(960 + 1920, amplitude=5000)
    samples = timeline.place_audio(later)
    assert samples is not None
    assert not samples[:1920].any()
    np.testing.assert_array_equal(samples[1920:], later.samples)


def test_sound_that_comes_twice_is_left_out() -> None:
    timeline = started()
    assert timeline.place_audio(sound(0)) is not None
    assert timeline.place_audio(sound(0)) is None


def test_sound_of_a_clock_that_the_video_has_not_reached_is_left_out() -> None:
    timeline = started()
    assert timeline.place_audio(sound(3600 * SAMPLE_RATE_HZ)) is None
    first = timeline.place_audio(sound(0))
    assert first is not None
    assert len(first) == 960


def test_sound_follows_a_restarted_clock() -> None:
    timeline = started()
    timeline.place_audio(sound(0, samples=SAMPLE_RATE_HZ))
    timeline.place_video(CLOCK_HZ - STEP)
    assert timeline.place_video(1000 * CLOCK_HZ) == CLOCK_HZ
    samples = timeline.place_audio(sound(1000 * SAMPLE_RATE_HZ))
    assert samples is not None
    assert len(samples) == 960


@given(
    st.integers(-(2**40), 2**40),
    st.lists(st.tuples(st.integers(-3000, 6000), st.integers(1, 3000)), min_size=1, max_size=40),
)
def test_sound_is_never_placed_10_ms_or_more_off(
    origin_s: int, pieces: list[tuple[int, int]]
) -> None:
    origin = origin_s * 15  # a multiple of 1/6000 s is exact on both clocks
    timeline = started(origin=origin)
    zero = origin * SAMPLE_RATE_HZ // CLOCK_HZ
    due, written = 0, 0
    for gap, length in pieces:
        chunk = sound(zero + due + gap, samples=length)
        samples = timeline.place_audio(chunk)
        due = max(due, due + gap + length)
        if samples is not None:
            written += len(samples)
            assert abs(written - (chunk.end_pts - zero)) < TEN_MS


@given(st.lists(st.integers(-(2**33), 2**33), min_size=1, max_size=60))
def test_placed_frames_always_move_forward_by_at_most_a_minute(times: list[int]) -> None:
    timeline = Timeline(frame_duration=STEP)
    placed = [pts for pts in map(timeline.place_video, times) if pts is not None]
    assert placed[0] == 0
    steps = np.diff(placed)
    assert (steps > 0).all()
    assert (steps <= 60 * CLOCK_HZ).all()
