"""Tests of `encoder.capture` on small files of every awkward kind."""

from __future__ import annotations

import logging
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from encoder.capture import SourceConfig, open_source
from stream.audio import AudioChunk, video_pts
from stream.errors import ConfigError
from stream.frame import Frame, Size
from tests.capture_media import (
    QUADRANTS,
    capture,
    moving_pictures,
    quadrant_picture,
    write_video,
)

FRAME = 3_600


def _tone(second: int) -> NDArray[np.int16]:
    time_s = np.arange(44_100) / 44_100
    return (9_000 * np.sin(2 * np.pi * (300 + 100 * second) * time_s)).astype(np.int16)


def _corners(frame: Frame) -> list[int]:
    return [int(frame.y[row, column]) for row in (4, -5) for column in (4, -5)]


def _pts(frames: list[Frame]) -> list[int]:
    return [frame.pts for frame in frames]


@pytest.mark.parametrize(("rotation", "turns"), [(0, 0), (90, 1), (180, 2), (-90, 3)])
def test_rotation_metadata_is_applied(tmp_path: Path, rotation: int, turns: int) -> None:
    picture = quadrant_picture(64, 48)
    path = write_video(tmp_path / "turned.mp4", [picture] * 3, rotation=rotation)
    source = open_source(SourceConfig(url=str(path)))
    size = Size(width=48, height=64) if turns % 2 else Size(width=64, height=48)
    frame = source.read()
    source.close()
    assert isinstance(frame, Frame)
    assert source.info.size == frame.size == size
    expected = np.rot90(np.array(QUADRANTS).reshape(2, 2), turns).ravel()
    assert np.abs(np.array(_corners(frame)) - expected).max() <= 2


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mpeg2.mkv", {"codec": "mpeg2video", "options": {"flags": "+ildct+ilme", "b": "4M"}}),
        ("h264.mkv", {"options": {"x264-params": "tff=1:interlaced=1:qp=10"}}),
    ],
)
def test_interlaced_pictures_lose_their_combs_but_none_is_lost(
    tmp_path: Path, name: str, settings: dict[str, object]
) -> None:
    def combed(index: int) -> NDArray[np.uint8]:
        picture = np.full((64, 96), 50, np.uint8)
        for field in (0, 1):  # the bar moves by four samples from field to field
            left = 8 + 8 * index + 4 * field
            picture[field::2, left : left + 16] = 200
        return picture

    path = write_video(tmp_path / name, [combed(n) for n in range(8)], **settings)  # type: ignore[arg-type] # a table of keywords
    frames, _ = capture(path)
    assert _pts(frames) == [FRAME * n for n in range(8)]

    def combs(y: NDArray[np.uint8]) -> float:
        inner = y[16:48].astype(float)
        return float(np.abs(2 * inner[1:-1] - inner[:-2] - inner[2:]).mean())

    assert combs(frames[4].y) < 0.35 * combs(combed(4))


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("ten_bit.mp4", "libx265", "yuv420p10le"),
        ("chroma.mkv", "ffv1", "yuv422p10le"),
        ("more_chroma.mkv", "ffv1", "yuv444p"),
    ],
)
def test_deep_and_chroma_rich_files_become_8_bit_420(
    tmp_path: Path, name: str, codec: str, pixel_format: str
) -> None:
    path = write_video(
        tmp_path / name,
        [quadrant_picture(64, 48)] * 3,
        codec=codec,
        pixel_format=pixel_format,
        options={"x265-params": "log-level=none"} if codec == "libx265" else None,
    )
    frames, _ = capture(path)
    assert len(frames) == 3
    assert np.abs(np.array(_corners(frames[0])) - QUADRANTS).max() <= 1


def test_odd_sized_full_range_motion_jpeg_comes_out_even_and_limited(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "odd.avi",
        [quadrant_picture(63, 47)] * 3,
        codec="mjpeg",
        pixel_format="yuvj420p",
    )
    frames, _ = capture(path)
    assert frames[0].size == Size(width=62, height=46)
    expected = [round(16 + level * 219 / 255) for level in QUADRANTS]
    assert np.abs(np.array(_corners(frames[0])) - expected).max() <= 2


def test_wide_samples_become_square(tmp_path: Path) -> None:
    pictures = [quadrant_picture(64, 48)] * 2
    path = write_video(tmp_path / "wide.mp4", pictures, sample_aspect=Fraction(4, 3))
    frames, _ = capture(path)
    assert frames[0].size == Size(width=86, height=48)


def test_variable_frame_rate_keeps_every_timestamp(tmp_path: Path) -> None:
    times_ms = [0, 40, 90, 100, 300, 333, 366, 900, 1000, 5000]
    path = write_video(tmp_path / "vfr.mkv", moving_pictures(10), times_ms=times_ms)
    frames, _ = capture(path)
    assert _pts(frames) == [90 * each for each in times_ms]


def test_a_raw_stream_without_timestamps_gets_them(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "raw.h264",
        moving_pictures(20),
        options={"bf": "2"},
        container_format="h264",
    )
    frames, _ = capture(path)
    assert _pts(frames) == [FRAME * n for n in range(20)]


def test_sound_and_pictures_come_in_order_of_time_on_one_clock(tmp_path: Path) -> None:
    path = write_video(tmp_path / "sound.mp4", moving_pictures(50), audio=_tone)
    source = open_source(SourceConfig(url=str(path)))
    assert source.info.has_audio
    assert not source.info.is_live
    assert source.info.fps == 25
    times, chunks = [], []
    while (item := source.read()) is not None:
        times.append(item.pts if isinstance(item, Frame) else video_pts(item.pts))
        if isinstance(item, AudioChunk):
            chunks.append(item)
    source.close()
    assert times == sorted(times)
    assert all(later.pts == earlier.end_pts for earlier, later in pairwise(chunks))
    assert chunks[0].pts == 0
    assert 1.95 <= chunks[-1].end_pts / 48_000 <= 2.1
    # The tone changes after one second of picture: it must change there in the sound too.
    sound = np.concatenate([chunk.samples[:, 0] for chunk in chunks]).astype(float)
    crossings = np.diff(np.signbit(sound[:96_000]).astype(int)) != 0
    rate_hz = np.add.reduceat(crossings, np.arange(0, 95_999, 9_600)) / 0.2 / 2
    assert rate_hz[:5] == pytest.approx(300, abs=12)
    assert rate_hz[5:9] == pytest.approx(400, abs=12)


def test_sound_can_be_left_out(tmp_path: Path) -> None:
    path = write_video(tmp_path / "sound.mp4", moving_pictures(25), audio=_tone)
    source = open_source(SourceConfig(url=str(path), audio=False))
    assert not source.info.has_audio
    source.close()
    assert capture(path, audio=False)[1] == []


def test_a_looping_file_goes_on_without_a_gap(tmp_path: Path) -> None:
    path = write_video(tmp_path / "loop.mp4", moving_pictures(10))
    source = open_source(SourceConfig(url=str(path), loop=True))
    items = [source.read() for _ in range(35)]
    source.close()
    assert [item.pts for item in items if item] == [FRAME * n for n in range(35)]
    assert source.read() is None


def test_loops_keep_sound_and_picture_together(tmp_path: Path) -> None:
    path = write_video(tmp_path / "loop.mkv", moving_pictures(25), audio=_tone)
    source = open_source(SourceConfig(url=str(path), loop=True))
    items = [source.read() for _ in range(250)]
    source.close()
    chunks = [item for item in items if isinstance(item, AudioChunk)]
    frames = [item for item in items if isinstance(item, Frame)]
    assert all(later.pts == earlier.end_pts for earlier, later in pairwise(chunks))
    assert abs(video_pts(chunks[-1].pts) - frames[-1].pts) < 2 * FRAME
    assert {later.pts - earlier.pts for earlier, later in pairwise(frames)} == {FRAME}


def test_a_frame_rate_limit_drops_evenly_and_shows_in_the_info(tmp_path: Path) -> None:
    path = write_video(tmp_path / "fast.mp4", moving_pictures(50), fps=50)
    source = open_source(SourceConfig(url=str(path), fps=25))
    assert source.info.fps == 25
    source.close()
    assert _pts(capture(path, fps=25)[0]) == [FRAME * n for n in range(25)]


def test_the_size_may_change_in_the_middle(tmp_path: Path) -> None:
    parts = []
    for number, side in enumerate((64, 96)):
        name = tmp_path / f"{number}.h264"
        pictures = moving_pictures(10, width=side, height=side)
        write_video(name, pictures, container_format="h264")
        parts.append(name.read_bytes())
    joined = tmp_path / "joined.h264"
    joined.write_bytes(b"".join(parts))
    frames, _ = capture(joined)
    assert [frame.size.width for frame in frames] == [64] * 10 + [96] * 10
    assert all(later.pts > earlier.pts for earlier, later in pairwise(frames))


def test_timestamps_that_jump_in_a_transport_stream_go_on(tmp_path: Path) -> None:
    first = write_video(tmp_path / "a.ts", moving_pictures(25), options={"bf": "0"})
    second = write_video(
        tmp_path / "b.ts",
        moving_pictures(25, seed=2),
        times_ms=[3_600_000 + 40 * n for n in range(25)],
        options={"bf": "0"},
    )
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    frames, _ = capture(joined)
    assert len(frames) == 50
    assert all(0 < later.pts - earlier.pts <= 2 * FRAME for earlier, later in pairwise(frames))


def test_corrupt_packets_are_skipped_counted_and_reported_once_each_way(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / "whole.ts", moving_pictures(100), options={"g": "10"})
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(3).integers(0, 256, len(data), np.uint8)
    third = len(data) // 3
    data[third : third + third // 2 : 7] = noise[third : third + third // 2 : 7].tobytes()
    broken = tmp_path / "broken.ts"
    broken.write_bytes(data)
    source = open_source(SourceConfig(url=str(broken)))
    with caplog.at_level(logging.WARNING):
        frames = []
        while (item := source.read()) is not None:
            frames.append(item)
    source.close()
    assert source.corrupt_packets > 0
    assert 50 <= len(frames) < 100
    assert frames[-1].pts > 85 * FRAME
    assert len([record for record in caplog.records if "corrupt" in record.message]) == 2


def test_a_file_cut_off_in_the_middle_plays_to_there(tmp_path: Path) -> None:
    path = write_video(tmp_path / "whole.mkv", moving_pictures(100), options={"g": "10"})
    short = tmp_path / "short.mkv"
    short.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames, _ = capture(short)
    assert 20 <= len(frames) < 90


def test_one_frame_is_enough(tmp_path: Path) -> None:
    assert len(capture(write_video(tmp_path / "one.mp4", moving_pictures(1)))[0]) == 1


def _broken_files(folder: Path) -> dict[str, Path]:
    files = {
        name: folder / name
        for name in ("empty.mp4", "noise.mp4", "text.txt", "cut.mp4", "sound.wav", "codec.avi")
    }
    files["empty.mp4"].write_bytes(b"")
    files["noise.mp4"].write_bytes(np.random.default_rng(1).bytes(5_000))
    files["text.txt"].write_text("not a film\n" * 100)
    whole = write_video(folder / "whole.mp4", moving_pictures(20))
    files["cut.mp4"].write_bytes(whole.read_bytes()[:1_500])
    silence = b"\0" * 8_000
    header = b"RIFF" + (36 + len(silence)).to_bytes(4, "little") + b"WAVEfmt "
    header += bytes.fromhex("10000000 01000100 401f0000 803e0000 02001000")
    files["sound.wav"].write_bytes(header + b"data" + len(silence).to_bytes(4, "little") + silence)
    avi = write_video(folder / "known.avi", moving_pictures(5), codec="mpeg4")
    files["codec.avi"].write_bytes(
        avi.read_bytes().replace(b"FMP4", b"QQQQ").replace(b"fmp4", b"QQQQ")
    )
    return files


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("empty.mp4", "is empty"),
        ("noise.mp4", "damaged, or not a media file"),
        ("text.txt", "it is text"),
        ("cut.mp4", "damaged|no picture"),
        ("sound.wav", "has no video"),
        ("codec.avi", "no decoder for its video codec"),
    ],
)
def test_a_file_that_is_no_video_is_refused_in_one_line(
    tmp_path: Path, name: str, complaint: str
) -> None:
    path = _broken_files(tmp_path)[name]
    with pytest.raises(ConfigError, match=complaint) as caught:
        open_source(SourceConfig(url=str(path)))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("/nowhere/clip.mp4", "there is no file /nowhere/clip.mp4"),
        ("/tmp", "is a folder"),
        ("v4l2:/dev/video99", "there is no camera at /dev/video99"),
        ("x11::97", "cannot open screen :97"),
        ("gopher://host/clip", "unknown scheme"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(url: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        open_source(SourceConfig(url=url))


def test_only_files_loop() -> None:
    with pytest.raises(ConfigError, match="cannot loop"):
        open_source(SourceConfig(url="x11::97", loop=True))


def test_a_frame_rate_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="fps"):
        SourceConfig(url="test:", fps=0)


READER = """
import sys
from encoder.capture import SourceConfig, open_source
from stream.errors import ConfigError
try:
    source = open_source(SourceConfig(url="-"))
except ConfigError as error:
    sys.exit(str(error))
count = 0
while source.read() is not None:
    count += 1
source.close()
print(source.info.size, count)
"""


def _read_stdin(stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # the interpreter itself, no shell
        [sys.executable, "-c", READER],
        input=stdin,
        capture_output=True,
        timeout=30,
        cwd=Path(__file__).parents[1],
        check=False,
    )


def test_standard_input_is_read_from_a_pipe(tmp_path: Path) -> None:
    path = write_video(tmp_path / "pipe.mkv", moving_pictures(30))
    result = _read_stdin(path.read_bytes())
    assert result.stdout.split() == [b"64x48", b"30"], result.stderr


def test_standard_input_that_is_no_video_is_refused_in_one_line() -> None:
    result = _read_stdin(b"nothing to see\0\xff" * 50)
    assert result.returncode == 1
    assert result.stderr.startswith(b"cannot open standard input")
    assert result.stderr.count(b"\n") == 1
