from __future__ import annotations

import logging
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest

from decoder.sink import open_sink
from stream.audio import SAMPLE_RATE_HZ
from stream.frame import CLOCK_HZ
from tests.sink_media import (
    CHUNK,
    ROOT,
    SIZE,
    STEP,
    frame_times_by_ffmpeg,
    picture,
    read_with_pyav,
    run_python,
    sound,
    write_both,
)

SUFFIXES = ("mp4", "mkv")
MILLISECOND = Fraction(1, 1000)
"""Matroska's unit of time; mp4 keeps every tick of 1/90000 s."""


def tolerance(path: Path) -> Fraction:
    return MILLISECOND / 2 if path.suffix == ".mkv" else Fraction(0)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_variable_frame_times_and_colour_come_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    offsets = [index * STEP + (index % 7) * 211 for index in range(130) if index % 11]
    sink = open_sink(str(path), size=SIZE, frame_rate=25, with_audio=False)
    for offset in offsets:
        assert sink.write_video(picture(12_345_678 + offset))
    sink.close()
    due = [Fraction(offset - offsets[0], CLOCK_HZ) for offset in offsets]

    read = read_with_pyav(path)
    for found in (read.frame_times, frame_times_by_ffmpeg(path)):
        assert len(found) == len(due)
        errors = [abs(at - want) for at, want in zip(found, due, strict=True)]
        assert max(errors) <= tolerance(path)
    assert found[0] == 0
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        tags = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        assert tags == (1, 1, 1, 1)
        assert context.profile == "High"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_keyframe_comes_every_two_seconds(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    sink = open_sink(str(path), size=SIZE, frame_rate=25, with_audio=False)
    for index in range(160):
        sink.write_video(picture(index * STEP, luma=40 if index % 20 < 10 else 200))
    sink.close()
    assert read_with_pyav(path).keyframe_times == [0, 2, 4, 6]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_flash_and_a_beep_stay_together(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    event_s, zero_s = 3, 100
    sink = open_sink(str(path), size=SIZE, frame_rate=25, with_audio=True)
    for index in range(125):
        # The picture is late by a window, as after restoration, and the sound starts 0.5 s later
        # than the picture, loses every ninth packet and repeats every seventh.
        for number in (2 * index, 2 * index + 1):
            start = zero_s * SAMPLE_RATE_HZ + number * CHUNK
            loud = start >= (zero_s + event_s) * SAMPLE_RATE_HZ
            if number >= 25 and number % 9:
                for _ in range(2 if number % 7 == 0 else 1):
                    sink.write_audio(sound(start, amplitude=12_000 if loud else 0))
        if index >= 5:
            flash = index - 5 == event_s * 25
            sink.write_video(
                picture(zero_s * CLOCK_HZ + (index - 5) * STEP, luma=225 if flash else 30)
            )
    sink.close()
    read = read_with_pyav(path)
    assert len(read.frame_times) == 120
    assert read.flash_s() == pytest.approx(event_s, abs=0.001)
    assert abs(read.beep_s() - read.flash_s()) <= 0.040
    assert len(frame_times_by_ffmpeg(path)) == 120


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_sound_that_never_comes_leaves_a_playable_picture(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    sink = open_sink(str(path), size=SIZE, frame_rate=25, with_audio=True)
    for index in range(10):  # less than the second that the header waits
        sink.write_video(picture(index * STEP))
    sink.close()
    assert len(read_with_pyav(path).frame_times) == 10
    assert len(frame_times_by_ffmpeg(path)) == 10


def test_sound_that_comes_after_the_header_is_left_out_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "x.mp4"
    sink = open_sink(str(path), size=SIZE, frame_rate=25, with_audio=True)
    for index in range(50):
        if index > 30:
            sink.write_audio(sound(index * 2 * CHUNK))
        sink.write_video(picture(index * STEP))
    sink.close()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "sound came after the header" in caplog.text
    read = read_with_pyav(path)
    assert len(read.frame_times) == 50
    assert read.audio_start is None


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_sound_that_stops_holds_no_more_than_a_second_of_picture_back(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"x.{suffix}"
    sink = open_sink(str(path), size=SIZE, frame_rate=25, with_audio=True)
    write_both(sink, frames=25)
    for index in range(25, 200):
        sink.write_video(picture(index * STEP))
    # Read it while it is being written: 8 s are in, 1 s may wait for sound, 1 s for its fragment.
    in_file = frame_times_by_ffmpeg(path, strict=False)
    assert in_file[-1] >= 5.9
    sink.close()
    assert len(read_with_pyav(path).frame_times) == 200


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_killed_process_leaves_a_playable_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    script = (
        "import sys, time; sys.path.insert(0, '.')\n"
        "from tests.sink_media import *; from decoder.sink import open_sink\n"
        f"sink = open_sink({str(path)!r}, size=SIZE, frame_rate=25, with_audio=True)\n"
        "write_both(sink, frames=160)\n"
        "print('written', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        writer.kill()
    for found in (read_with_pyav(path).frame_times, frame_times_by_ffmpeg(path, strict=False)):
        assert found[:3] == [0, Fraction(1, 25), Fraction(2, 25)]
        assert len(found) >= 160 - 50  # at most 2 s are lost
    assert read_with_pyav(path).samples.size > 4 * SAMPLE_RATE_HZ


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_leaves_what_was_written_playable(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    limit_bytes = 150_000
    script = (
        "import resource\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}))\n"
        "from tests.sink_media import *; from decoder.sink import open_sink\n"
        "from stream.errors import SinkError\n"
        f"sink = open_sink({str(path)!r}, size=SIZE, frame_rate=25, with_audio=True)\n"
        "try: write_both(sink, frames=2000)\n"
        "except SinkError as error: print(error)\n"
        "sink.close()\n"
    )
    run = run_python(script)
    assert run.stdout == f"{path} stopped: File too large\n"
    assert run.stderr == ""
    assert path.stat().st_size <= limit_bytes
    found = frame_times_by_ffmpeg(path, strict=False)
    assert len(found) >= 50
    assert found[-1] == Fraction(len(found) - 1, 25)
