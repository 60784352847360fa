"""Tests of `encoder.timeline`: one continuous clock."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.timeline import MAX_GAP, Timeline, Track

SECOND = 90_000
FRAME = 3_600


def _started(origin: int | None = None) -> Timeline:
    timeline = Timeline()
    timeline.start(origin)
    return timeline


def _video(timeline: Timeline, timestamp: int | None) -> int:
    return timeline.place(Track.VIDEO, timestamp, duration=FRAME)


def _audio(timeline: Timeline, timestamp: int | None, duration: int = 1_920) -> int:
    return timeline.place(Track.AUDIO, timestamp, duration=duration)


def test_the_first_timestamp_becomes_zero() -> None:
    timeline = _started()
    assert [_video(timeline, 7_000_000 + FRAME * n) for n in range(3)] == [0, FRAME, 2 * FRAME]


def test_a_known_origin_keeps_the_distance_of_both_tracks() -> None:
    timeline = _started(origin=1000)
    assert _video(timeline, 3000) == 2000
    assert _audio(timeline, 1000) == 0


def test_uneven_spacing_is_kept() -> None:
    timeline = _started()
    times = [0, 1000, 9000, 9001, 500_000]
    assert [_video(timeline, each) for each in times] == times


def test_missing_timestamps_go_on_at_the_frame_rate() -> None:
    timeline = _started()
    placed = [_video(timeline, each) for each in (None, None, 2 * FRAME, None)]
    assert placed == [0, FRAME, 2 * FRAME, 3 * FRAME]


def test_video_stays_strictly_increasing_when_timestamps_repeat_or_step_back_a_little() -> None:
    timeline = _started()
    placed = [_video(timeline, each) for each in (0, FRAME, FRAME, FRAME - 50, 2 * FRAME)]
    assert placed == [0, FRAME, FRAME + 1, FRAME + 2, 2 * FRAME]


@pytest.mark.parametrize("jump", [-3_000_000_000, -SECOND, MAX_GAP + SECOND, 2**33])
def test_a_jump_goes_on_where_the_track_was(jump: int) -> None:
    timeline = _started(origin=0)
    for n in range(10):
        _video(timeline, n * FRAME)
    after = [_video(timeline, jump + n * FRAME) for n in range(10, 13)]
    assert after == [10 * FRAME, 11 * FRAME, 12 * FRAME]


def test_tracks_stay_together_when_audio_reaches_the_jump_before_video() -> None:
    timeline = _started(origin=0)
    jump = 5_000_000
    for n in range(25):
        _video(timeline, n * FRAME)
        _audio(timeline, n * FRAME, duration=FRAME)
    assert _audio(timeline, jump + 25 * FRAME, duration=FRAME) == 25 * FRAME
    assert _video(timeline, 25 * FRAME) == 25 * FRAME  # a straggler from before the jump
    assert _video(timeline, jump + 26 * FRAME) == 26 * FRAME
    assert _audio(timeline, jump + 26 * FRAME, duration=FRAME) == 26 * FRAME


def test_a_long_pause_of_video_alone_is_no_jump_while_audio_goes_on() -> None:
    timeline = _started(origin=0)
    _video(timeline, 0)
    for n in range(30):
        _audio(timeline, n * SECOND, duration=SECOND)
    assert _video(timeline, 30 * SECOND) == 30 * SECOND
    assert _audio(timeline, 30 * SECOND) == 30 * SECOND


def test_a_new_pass_follows_the_longest_track() -> None:
    timeline = _started(origin=500)
    _video(timeline, 500)
    _audio(timeline, 500, duration=9_000)
    timeline.start(500)
    assert _video(timeline, 500) == 9_000
    assert _audio(timeline, 500) == 9_000


@given(st.lists(st.one_of(st.none(), st.integers(-(2**40), 2**40)), max_size=60))
def test_any_timestamps_give_strictly_increasing_video_without_holes(
    timestamps: list[int | None],
) -> None:
    timeline = _started()
    placed = [_video(timeline, each) for each in timestamps]
    steps = [later - earlier for earlier, later in pairwise(placed)]
    assert all(0 < step <= MAX_GAP + FRAME for step in steps)
    assert not placed or placed[0] == 0
