from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stream.timing import (
    AUDIO_STEP_MS,
    JUMP_S,
    MediaClock,
    RtpUnwrapper,
    SenderReport,
    Track,
)

VIDEO_STEP, AUDIO_STEP = 3600, 960
NTP_SECOND = 1 << 32
NTP_2030 = 4_102_444_800 * NTP_SECOND


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(-(2**30), 2**30), max_size=50))
def test_unwrapping_keeps_every_step_across_wraps(start: int, steps: list[int]) -> None:
    unwrapper, value = RtpUnwrapper(), start
    assert unwrapper.unwrap(value) == start
    for step in steps:
        value += step
        assert unwrapper.near(value % 2**32) == value
        assert unwrapper.unwrap(value % 2**32) == value


def play_video(clock: MediaClock, frames: range, *, start: int = 0) -> list[int | None]:
    """Frames at 25 a second that arrive when they are due."""
    return [
        clock.video((start + index * VIDEO_STEP) % 2**32, arrived_ms=index * 40.0)
        for index in frames
    ]


def play_audio(clock: MediaClock, packets: range, *, start: int, late_ms: float = 0) -> list[int]:
    """20 ms packets; packet n is due at n * 20 ms."""
    heard = []
    for index in packets:
        pts = clock.audio(
            (start + index * AUDIO_STEP) % 2**32,
            samples=AUDIO_STEP,
            arrived_ms=index * 20.0 + late_ms,
        )
        if pts is not None:
            heard.append(pts)
    return heard


def report(clock: MediaClock, track: Track, *, rtp: int, seconds: float) -> None:
    """A sender report for a moment so many seconds after the first frame."""
    ntp = NTP_2030 + round(seconds * NTP_SECOND)
    clock.sender_report(track, SenderReport(ntp=ntp, rtp_timestamp=rtp % 2**32))


def test_the_first_video_frame_is_zero_and_the_wrap_is_not_seen() -> None:
    start = 2**32 - 2 * VIDEO_STEP
    assert play_video(MediaClock(), range(5), start=start) == [0, 3600, 7200, 10800, 14400]


def test_a_picture_is_told_its_time_before_it_comes_and_after_also_across_the_wrap() -> None:
    clock, start = MediaClock(), 2**32 - 2 * VIDEO_STEP
    assert clock.video_pts(start) is None
    play_video(clock, range(4), start=start)
    for index in (-50, 0, 3, 4, 500):
        assert clock.video_pts((start + index * VIDEO_STEP) % 2**32) == index * VIDEO_STEP
    assert play_video(clock, range(4, 5), start=start) == [4 * VIDEO_STEP]  # nothing has moved


def test_sound_before_the_first_picture_has_no_time() -> None:
    assert play_audio(MediaClock(), range(3), start=5) == []


def test_before_any_report_sound_is_placed_by_its_arrival() -> None:
    clock = MediaClock()
    play_video(clock, range(1))
    assert play_audio(clock, range(5, 7), start=77) == [4800, 5760]


def test_sender_reports_put_sound_exactly_in_its_place() -> None:
    clock = MediaClock()
    play_video(clock, range(10), start=1000)
    # 30 ms too late on the network, so that arrival places it wrongly.
    wrong = play_audio(clock, range(10, 15), start=50, late_ms=30)
    report(clock, Track.VIDEO, rtp=1000, seconds=0)
    report(clock, Track.AUDIO, rtp=50 + 10 * AUDIO_STEP, seconds=0.2)
    right = play_audio(clock, range(15, 30), start=50, late_ms=30)
    assert wrong[0] > 10 * AUDIO_STEP
    assert right[0] % AUDIO_STEP == 0
    assert right[-1] == 29 * AUDIO_STEP


def test_correcting_sound_never_goes_back_in_time() -> None:
    clock = MediaClock()
    play_video(clock, range(10))
    heard = play_audio(clock, range(10, 15), start=0, late_ms=100)
    report(clock, Track.VIDEO, rtp=0, seconds=0)
    report(clock, Track.AUDIO, rtp=0, seconds=0)
    heard += play_audio(clock, range(15, 40), start=0, late_ms=100)
    assert all(later - earlier >= AUDIO_STEP for earlier, later in pairwise(heard))
    assert heard[-1] == 39 * AUDIO_STEP


def test_reports_that_scatter_a_little_leave_the_sound_continuous() -> None:
    clock = MediaClock()
    play_video(clock, range(1))
    heard = []
    for second in range(1, 20):
        play_video(clock, range(25 * second, 25 * second + 1))
        jitter_s = (second % 3 - 1) * AUDIO_STEP_MS / 2 / 1000
        report(clock, Track.VIDEO, rtp=second * 90_000, seconds=second)
        report(clock, Track.AUDIO, rtp=second * 48_000, seconds=second + jitter_s)
        heard += play_audio(clock, range(50 * second, 50 * second + 50), start=0)
    assert {later - earlier for earlier, later in pairwise(heard)} == {AUDIO_STEP}


def test_a_report_without_a_wall_clock_and_an_absurd_one_are_not_believed() -> None:
    clock = MediaClock()
    play_video(clock, range(1))
    clock.sender_report(Track.VIDEO, SenderReport(ntp=0, rtp_timestamp=0))
    clock.sender_report(Track.AUDIO, SenderReport(ntp=0, rtp_timestamp=0))
    report(clock, Track.VIDEO, rtp=0, seconds=0)
    report(clock, Track.AUDIO, rtp=0, seconds=100_000)
    assert play_audio(clock, range(3), start=0) == [0, 960, 1920]


def test_a_jump_of_the_source_continues_one_frame_after_the_last() -> None:
    for jump in (JUMP_S * 90_000 + 10_000, -5 * 90_000, -20 * 90_000):
        clock = MediaClock()
        play_video(clock, range(5), start=10**9)
        after = play_video(clock, range(5, 8), start=10**9 + jump)
        assert after == [18_000, 21_600, 25_200]
        assert clock.jumps == 1


def test_a_pause_shorter_than_a_jump_is_kept() -> None:
    clock = MediaClock()
    play_video(clock, range(2))
    assert clock.video(9 * 90_000, arrived_ms=9000) == 9 * 90_000


def test_a_frame_that_is_late_or_repeated_has_no_time() -> None:
    clock = MediaClock()
    play_video(clock, range(5))
    assert clock.video(4 * VIDEO_STEP, arrived_ms=0) is None
    assert clock.video(2 * VIDEO_STEP, arrived_ms=0) is None
    assert clock.video(5 * VIDEO_STEP, arrived_ms=0) == 5 * VIDEO_STEP


def test_when_a_source_starts_over_sound_stays_with_the_pictures() -> None:
    clock = MediaClock()
    play_video(clock, range(500))
    report(clock, Track.VIDEO, rtp=0, seconds=0)
    report(clock, Track.AUDIO, rtp=0, seconds=0)
    play_audio(clock, range(1000), start=0)
    # Both clocks fall back by 20 s, the reports of before no longer hold.
    clock.video(0, arrived_ms=20_000)
    heard = [
        clock.audio(index * AUDIO_STEP, samples=AUDIO_STEP, arrived_ms=20_000 + 20.0 * index)
        for index in range(5)
    ]
    assert heard == [960_000 + index * AUDIO_STEP for index in range(5)]
    report(clock, Track.VIDEO, rtp=0, seconds=100)
    report(clock, Track.AUDIO, rtp=0, seconds=100)
    next_pts = clock.audio(5 * AUDIO_STEP, samples=AUDIO_STEP, arrived_ms=20_100)
    assert next_pts == 960_000 + 5 * AUDIO_STEP


@given(
    st.lists(
        st.tuples(st.integers(0, 2**32 - 1) | st.integers(0, 200_000), st.booleans()), max_size=60
    )
)
def test_whatever_the_timestamps_neither_track_ever_goes_back(
    steps: list[tuple[int, bool]],
) -> None:
    clock = MediaClock()
    last_video, audio_end = -1, None
    for index, (timestamp, is_video) in enumerate(steps):
        if is_video:
            pts = clock.video(timestamp, arrived_ms=index * 10.0)
            if pts is not None:
                assert pts > last_video
                last_video = pts
        else:
            pts = clock.audio(timestamp, samples=AUDIO_STEP, arrived_ms=index * 10.0)
            if pts is not None:
                assert audio_end is None or pts >= audio_end
                audio_end = pts + AUDIO_STEP


def test_reports_that_come_before_the_first_frame_count() -> None:
    clock = MediaClock()
    report(clock, Track.AUDIO, rtp=7_000, seconds=-0.005)
    report(clock, Track.VIDEO, rtp=90_000 - 450, seconds=-0.005)
    # What was queued while connecting arrives at once, sound last.
    for index in range(10):
        clock.video(90_000 + index * VIDEO_STEP, arrived_ms=0.0)
    heard = [
        clock.audio(7_240 + index * AUDIO_STEP, samples=AUDIO_STEP, arrived_ms=1.0)
        for index in range(10)
    ]
    assert heard == [index * AUDIO_STEP for index in range(10)]
