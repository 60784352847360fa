from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.audio import AudioChunk
from stream.audio_framing import TOLERANCE_SAMPLES, AudioFramer


def ramp(pts: int, samples: int) -> AudioChunk:
    """Every sample holds its own time."""
    times = np.arange(pts, pts + samples, dtype=np.int16)
    return AudioChunk(samples=np.stack((times, times), axis=1), pts=pts, entered_ms=float(pts))


@given(st.lists(st.integers(1, 700), min_size=1, max_size=30))
def test_continuous_chunks_of_any_length_become_whole_frames_with_nothing_changed(
    lengths: list[int],
) -> None:
    framer, pts, frames = AudioFramer(240), 0, []
    for length in lengths:
        frames += framer.push(ramp(pts, length))
        pts += length
    assert len(frames) == sum(lengths) // 240
    for index, frame in enumerate(frames):
        assert frame.pts == 240 * index
        assert frame.samples[:, 0].tolist() == list(range(240 * index, 240 * index + 240))


def test_a_gap_completes_the_unfinished_frame_with_silence_and_starts_at_the_new_time() -> None:
    framer = AudioFramer(960)
    assert framer.push(ramp(0, 100)) == []
    first, second = framer.push(ramp(5000, 960))
    assert (first.pts, second.pts) == (0, 5000)
    assert first.samples[100:].any() == False  # noqa: E712 (a numpy bool)
    assert second.samples[0, 0] == 5000


def test_a_source_that_starts_over_is_followed_back() -> None:
    framer = AudioFramer(960)
    framer.push(ramp(9000, 960))
    (frame,) = framer.push(ramp(0, 960))
    assert frame.pts == 0


def test_a_few_samples_of_jitter_leave_the_sound_continuous() -> None:
    framer = AudioFramer(960)
    framer.push(ramp(0, 900))
    frames = framer.push(ramp(900 + TOLERANCE_SAMPLES, 1020))
    assert [frame.pts for frame in frames] == [0, 960]
