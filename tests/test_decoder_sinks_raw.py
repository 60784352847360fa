from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from decoder.sink import open_sink
from stream.errors import SinkError
from tests.sink_media import FFMPEG, SIZE, STEP, frame_times_by_ffmpeg, picture


def test_frames_are_written_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "x.y4m"
    frames = [picture(index * STEP) for index in range(5)]
    sink = open_sink(str(path), size=SIZE, frame_rate=25, with_audio=True)
    for frame in frames:
        assert sink.write_video(frame)
    sink.close()
    assert sink.bytes_written == path.stat().st_size
    with av.open(str(path)) as container:
        read = list(container.decode(video=0))
    assert len(read) == len(frames)
    for found, frame in zip(read, frames, strict=True):
        planes = np.concatenate([frame.y.ravel(), frame.u.ravel(), frame.v.ravel()])
        np.testing.assert_array_equal(found.to_ndarray().ravel(), planes)
    assert len(frame_times_by_ffmpeg(path)) == len(frames)


@pytest.mark.parametrize(
    ("frame_rate", "header"), [(25, b" F25:1 "), (29.97, b" F30000:1001 "), (12.5, b" F25:2 ")]
)
def test_the_header_has_the_exact_rate(tmp_path: Path, frame_rate: float, header: bytes) -> None:
    path = tmp_path / "x.y4m"
    sink = open_sink(str(path), size=SIZE, frame_rate=frame_rate, with_audio=False)
    sink.write_video(picture(0))
    sink.close()
    assert header in path.read_bytes().partition(b"\n")[0] + b" "


def test_a_full_disk_is_one_clear_line() -> None:
    sink = open_sink("y4m:/dev/full", size=SIZE, frame_rate=25, with_audio=False)
    with pytest.raises(SinkError, match=r"^y4m:/dev/full stopped: No space left on device$"):
        sink.write_video(picture(0))
    sink.close()


def test_a_reader_that_goes_away_ends_the_sink() -> None:
    reader, writer = os.pipe()
    sink = open_sink(f"y4m:/dev/fd/{writer}", size=SIZE, frame_rate=25, with_audio=False)
    os.close(reader)
    with pytest.raises(SinkError, match="its reader went away"):
        sink.write_video(picture(0))
    sink.close()
    os.close(writer)


@pytest.mark.real_peer
def test_a_player_reads_standard_output() -> None:
    script = (
        "import sys; sys.path.insert(0, '.')\n"
        "from tests.sink_media import *; from decoder.sink import open_sink\n"
        "sink = open_sink('y4m:-', size=SIZE, frame_rate=25, with_audio=False)\n"
        "for index in range(30): sink.write_video(picture(index * STEP))\n"
        "sink.close()\n"
    )
    root = Path(__file__).parent.parent
    command = [FFMPEG, "-v", "error", "-i", "-", "-f", "framecrc", "-"]
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE
    ) as writer:
        player = subprocess.run(
            command, stdin=writer.stdout, capture_output=True, text=True, timeout=30, check=True
        )
    assert writer.returncode == 0
    assert player.stderr == ""
    assert sum(not line.startswith("#") for line in player.stdout.splitlines()) == 30


def test_without_headers_there_are_the_planes_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.yuv"
    sink = open_sink(f"raw:{path}", size=SIZE, frame_rate=25, with_audio=False)
    frames = [picture(index * STEP) for index in range(3)]
    for frame in frames:
        assert sink.write_video(frame)
    sink.close()
    planes = [plane.tobytes() for frame in frames for plane in (frame.y, frame.u, frame.v)]
    assert path.read_bytes() == b"".join(planes)
    assert sink.bytes_written == path.stat().st_size
