from __future__ import annotations

import re
from pathlib import Path

import av
import pytest

from decoder.sink import open_sink
from decoder.sinks.hls import SEGMENTS_KEPT, SEGMENTS_LISTED
from tests.sink_media import (
    SIZE,
    STEP,
    frame_times_by_ffmpeg,
    picture,
    read_with_pyav,
    run_python,
    write_both,
)


def segments(playlist: Path) -> list[Path]:
    lines = playlist.read_text().splitlines()
    return [playlist.parent / line for line in lines if line and not line.startswith("#")]


def test_segments_of_two_seconds_start_with_keyframes_and_play_as_one(tmp_path: Path) -> None:
    directory = tmp_path / "a 100% new directory"
    sink = open_sink(f"hls:{directory}", size=SIZE, frame_rate=25, with_audio=True)
    write_both(sink, frames=160, first_s=50)
    sink.close()
    playlist = directory / "index.m3u8"
    text = playlist.read_text()
    assert text.startswith("#EXTM3U\n")
    assert text.endswith("#EXT-X-ENDLIST\n")
    assert "#EXT-X-TARGETDURATION:2\n" in text
    durations_s = [float(found) for found in re.findall(r"#EXTINF:([\d.]+)", text)]
    assert durations_s == pytest.approx([2, 2, 2, 0.4], abs=0.03)
    for segment in segments(playlist):
        with av.open(str(segment)) as container:
            assert next(container.decode(video=0)).key_frame
    assert {path.name for path in directory.iterdir()} == {
        "index.m3u8",
        *(segment.name for segment in segments(playlist)),
    }
    assert len(frame_times_by_ffmpeg(playlist)) == 160
    read = read_with_pyav(playlist)
    assert read.keyframe_times == [0, 2, 4, 6]
    assert read.audio_start == 0


def test_a_live_playlist_is_complete_at_every_moment(tmp_path: Path) -> None:
    sink = open_sink(f"hls:{tmp_path}", size=SIZE, frame_rate=25, with_audio=False)
    for index in range(130):
        sink.write_video(picture(index * STEP))
    playlist = tmp_path / "index.m3u8"
    text = playlist.read_text()
    assert "#EXT-X-ENDLIST" not in text
    assert len(segments(playlist)) == 2
    assert all(len(frame_times_by_ffmpeg(segment)) == 50 for segment in segments(playlist))
    sink.close()


def test_old_segments_are_deleted(tmp_path: Path) -> None:
    sink = open_sink(f"hls:{tmp_path}", size=SIZE, frame_rate=2, with_audio=False)
    for index in range(2 * 2 * (SEGMENTS_KEPT + 8)):
        sink.write_video(picture(index * 45_000))
    sink.close()
    playlist = tmp_path / "index.m3u8"
    assert len(segments(playlist)) == SEGMENTS_LISTED
    assert all(segment.exists() for segment in segments(playlist))
    # A few more stay for players that still read an older playlist (RFC 8216 section 6.2.2).
    assert len(list(tmp_path.glob("*.ts"))) == SEGMENTS_KEPT


def test_a_second_run_replaces_the_first_and_touches_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("the broadcaster's own page")
    (tmp_path / "segment_7.ts").write_text("left by a killed run")
    (tmp_path / "index.m3u8").write_text("#EXTM3U\n#EXTINF:2,\nsegment_7.ts\n")
    sink = open_sink(f"hls:{tmp_path}", size=SIZE, frame_rate=25, with_audio=False)
    assert not (tmp_path / "segment_7.ts").exists()
    assert not (tmp_path / "index.m3u8").exists()
    assert (tmp_path / "index.html").exists()
    sink.write_video(picture(0))
    sink.close()
    (name,) = [segment.name for segment in segments(tmp_path / "index.m3u8")]
    assert int(name.removeprefix("segment_").removesuffix(".ts")) > 7


def test_a_full_disk_ends_the_sink_and_leaves_whole_segments(tmp_path: Path) -> None:
    script = (
        "import resource\n"
        "from tests.sink_media import *; from decoder.sink import open_sink\n"
        "from stream.errors import SinkError\n"
        f"sink = open_sink('hls:{tmp_path}', size=SIZE, frame_rate=25, with_audio=True)\n"
        "write_both(sink, frames=160)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n"
        "try: write_both(sink, frames=2000, first_s=7)\n"
        "except SinkError as error: print(error)\n"
        "sink.close()\n"
    )
    run = run_python(script)
    assert run.stdout == f"hls:{tmp_path} stopped: File too large\n"
    assert run.stderr == ""
    whole = segments(tmp_path / "index.m3u8")
    assert len(whole) == 3
    assert {path.name for path in tmp_path.iterdir()} == {
        "index.m3u8",
        *(segment.name for segment in whole),
    }
    for segment in whole:
        assert len(frame_times_by_ffmpeg(segment)) == 50
