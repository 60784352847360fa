from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality import IDENTICAL_DB, mean_psnr_y, psnr_y, read_y4m
from decoder.sink import open_sink
from stream.errors import ConfigError
from stream.frame import Frame, Size


def frame(level: int, pts: int = 0) -> Frame:
    chroma = np.full((4, 6), 128, np.uint8)
    return Frame(y=np.full((8, 12), level, np.uint8), u=chroma, v=chroma, pts=pts)


def test_one_level_everywhere_is_48_db_and_equal_pictures_count_as_the_limit() -> None:
    assert psnr_y(frame(100).y, frame(101).y) == pytest.approx(48.1308, abs=1e-3)
    assert psnr_y(frame(100).y, frame(100).y) == IDENTICAL_DB


def test_the_mean_of_two_streams_of_different_length_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        mean_psnr_y([frame(1), frame(2)], [frame(1)])


def test_raw_files_of_the_receiver_are_read_back_exactly(tmp_path: Path) -> None:
    size = Size(width=12, height=8)
    sink = open_sink(f"y4m:{tmp_path / 'a.y4m'}", size=size, frame_rate=25, with_audio=False)
    for level in (20, 30, 40):
        sink.write_video(frame(level, pts=3600 * level))
    sink.close()
    assert [int(f.y[0, 0]) for f in read_y4m(tmp_path / "a.y4m")] == [20, 30, 40]


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.y4m").write_bytes(b"RIFF....")
    with pytest.raises(ConfigError, match="not a YUV4MPEG2 file"):
        next(read_y4m(tmp_path / "a.y4m"))
