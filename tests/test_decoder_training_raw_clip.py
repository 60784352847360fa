from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from decoder.training.raw_clip import RawClip
from stream.frame import Size
from tests.training_media import moving_frame


def test_luma_comes_back_frame_by_frame_in_any_order(tmp_path: Path) -> None:
    frames = [moving_frame(index, width=48, height=32) for index in range(4)]

    clip = RawClip.write(tmp_path / "clip.y4m", iter(frames), Fraction(30000, 1001))

    assert (len(clip), clip.size) == (4, Size(width=48, height=32))
    for index in (3, 0, 2, 1):
        assert np.array_equal(clip.luma(index), frames[index].y)
    for index in (-1, 4):
        with pytest.raises(IndexError):
            clip.luma(index)


def test_ffmpeg_reads_the_same_frames_at_the_same_rate(tmp_path: Path) -> None:
    frames = [moving_frame(index, width=48, height=32) for index in range(3)]
    clip = RawClip.write(tmp_path / "clip.y4m", frames, Fraction(30000, 1001))

    with av.open(str(clip.path)) as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)
        pictures = [picture.to_ndarray() for picture in container.decode(video=0)]

    assert len(pictures) == 3
    for frame, picture in zip(frames, pictures, strict=True):
        planes = np.concatenate([frame.y.ravel(), frame.u.ravel(), frame.v.ravel()])
        assert np.array_equal(picture.ravel(), planes)


def test_a_clip_without_a_frame_is_no_clip(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a frame"):
        RawClip.write(tmp_path / "clip.y4m", [], Fraction(25))
