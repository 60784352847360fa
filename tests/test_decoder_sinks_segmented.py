"""Recordings in several files: nothing lost between them, each whole by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from decoder.output_options import OutputOptions
from decoder.sink import FileTarget, Sink, open_sink
from decoder.sinks.container import open_container_sink
from decoder.sinks.segmented import segment_path
from stream.frame import CLOCK_HZ
from tests.sink_media import (
    SIZE,
    STEP,
    frame_times_by_ffmpeg,
    picture,
    read_with_pyav,
    run_python,
    sound,
    write_both,
)


def open_segmented(path: Path, *, segment_s: float) -> Sink:
    return open_sink(
        str(path),
        size=SIZE,
        frame_rate=25,
        with_audio=True,
        options=OutputOptions(segment_s=segment_s),
    )


def recorded(folder: Path, suffix: str) -> list[Path]:
    """The files in the order they were made in, which is that of their names and numbers."""
    return sorted(folder.glob(f"*{suffix}"), key=lambda path: path.stat().st_mtime_ns)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_no_picture_and_no_sound_is_lost_between_two_files(tmp_path: Path, suffix: str) -> None:
    sink = open_segmented(tmp_path / f"show{suffix}", segment_s=2)
    write_both(sink, frames=130, first_s=9)
    sink.close()
    files = recorded(tmp_path, suffix)
    reads = [read_with_pyav(path) for path in files]
    assert [len(read.frame_times) for read in reads] == [50, 50, 30]
    lumas = [luma for read in reads for luma in read.lumas]
    assert lumas == pytest.approx([40 + (225 + n) * 3 % 150 + 11.5 for n in range(130)], abs=3)
    for path, read in zip(files, reads, strict=True):
        assert read.frame_times[0] == 0
        assert read.keyframe_times[0] == 0
        assert read.audio_start is not None
        assert abs(read.audio_start) < 0.03
        sound_s = len(read.samples) / 48_000
        assert sound_s == pytest.approx(len(read.frame_times) / 25, abs=0.05)
        assert len(frame_times_by_ffmpeg(path)) == len(read.frame_times)
    assert sink.bytes_written > 10_000


def test_sound_that_straddles_two_files_is_in_the_second_from_its_start(tmp_path: Path) -> None:
    """Chunks that do not begin with pictures: the new file starts with the rest of one."""
    sink = open_segmented(tmp_path / "show.mp4", segment_s=1)
    for index in range(50):
        sink.write_video(picture(index * STEP))
        sink.write_audio(sound(index * 1920 + 500, amplitude=9000, samples=1920))
    sink.close()
    second = read_with_pyav(recorded(tmp_path, ".mp4")[1])
    assert second.beep_s() < 0.03


def test_a_gap_or_a_clock_that_restarts_makes_no_empty_files(tmp_path: Path) -> None:
    sink = open_segmented(tmp_path / "show.mp4", segment_s=2)
    for start in (0, 35 * CLOCK_HZ, 3 * CLOCK_HZ):
        for index in range(30):
            sink.write_video(picture(start + index * STEP))
    sink.close()
    counts = [len(frame_times_by_ffmpeg(path)) for path in recorded(tmp_path, ".mp4")]
    assert sum(counts) == 90
    assert min(counts) > 0
    assert len(counts) <= 4


def test_a_killed_recording_leaves_every_file_playable(tmp_path: Path) -> None:
    script = (
        "import os, signal\n"
        "from tests.sink_media import *; from decoder.sink import open_sink\n"
        "from decoder.output_options import OutputOptions\n"
        f"sink = open_sink('{tmp_path}/show.mp4', size=SIZE, frame_rate=25, with_audio=True,\n"
        "                 options=OutputOptions(segment_s=2))\n"
        "write_both(sink, frames=190)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert run_python(script).returncode == -9
    counts = [len(frame_times_by_ffmpeg(path)) for path in recorded(tmp_path, ".mp4")]
    assert counts[:-1] == [50, 50, 50]
    # Of the last one, what is younger than the last fragment of a second is lost.
    assert 15 <= counts[-1] <= 40


def test_names_say_when_and_never_overwrite(tmp_path: Path) -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    first = segment_path(tmp_path / "a show.mp4", when)
    assert first.name == "a show-20260102T030405Z.mp4"
    first.touch()
    second = segment_path(tmp_path / "a show.mp4", when)
    assert second.name == "a show-20260102T030405Z-2.mp4"
    second.touch()
    assert segment_path(tmp_path / "a show.mp4", when).name.endswith("-3.mp4")
    assert "030406Z" in segment_path(tmp_path / "x.mp4", when + timedelta(seconds=1)).name


def test_without_a_length_there_is_one_file_by_its_own_name(tmp_path: Path) -> None:
    target = FileTarget(path=tmp_path / "show.mp4", container="mp4")
    sink = open_container_sink(target, size=SIZE, frame_rate=25, with_audio=False)
    sink.write_video(picture(0))
    sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["show.mp4"]
