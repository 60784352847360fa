from __future__ import annotations

import numpy as np
import pytest

from stream.audio import AudioChunk, audio_pts, video_pts
from stream.errors import FrameError


def test_a_chunk_ends_where_the_next_one_starts() -> None:
    chunk = AudioChunk(samples=np.zeros((960, 2), np.int16), pts=-100)
    assert chunk.end_pts == 860


@pytest.mark.parametrize("shape", [(960,), (960, 1), (2, 960), (0, 2)])
def test_samples_that_are_not_stereo_rows_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameError, match="samples must be"):
        AudioChunk(samples=np.zeros(shape, np.int16), pts=0)


def test_samples_of_another_type_are_refused() -> None:
    with pytest.raises(FrameError, match="float32"):
        AudioChunk(samples=np.zeros((960, 2), np.float32), pts=0)


def test_video_and_audio_times_are_the_same_moment() -> None:
    assert audio_pts(90_000) == 48_000
    assert video_pts(-48_000) == -90_000
    assert audio_pts(3600) == 1920
