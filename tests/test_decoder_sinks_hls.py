"""HLS in a folder: correct at every moment, over gaps, when killed and on a full disk."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import pytest

from decoder.sink import Sink, open_sink
from decoder.sinks.fragments import read_fragment
from decoder.sinks.hls_sink import SEGMENTS_KEPT, SEGMENTS_LISTED
from stream.frame import CLOCK_HZ
from tests.hls_rules import Playlist, check_history, read_playlist
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


def open_hls(directory: Path, *, frame_rate: float = 25, with_audio: bool = False) -> Sink:
    return open_sink(f"hls:{directory}", size=SIZE, frame_rate=frame_rate, with_audio=with_audio)


def playlist_in(directory: Path) -> Playlist:
    return read_playlist((directory / "index.m3u8").read_text())


def files_of(playlist: Playlist) -> set[str]:
    listed = {name for each in playlist.segments for name in (each.uri, each.map_uri)}
    return {"index.m3u8", *listed}


class History:
    """Every version of the playlist that a player could have fetched."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "index.m3u8"
        self.texts: list[str] = []

    def look(self) -> None:
        """Remember the playlist if it has changed, and look whether its files are there."""
        if self._path.exists() and (text := self._path.read_text()) not in self.texts[-1:]:
            self.texts.append(text)
            for name in files_of(read_playlist(text)):
                assert (self._path.parent / name).exists(), name


def test_segments_of_two_seconds_start_with_keyframes_and_play_as_one(tmp_path: Path) -> None:
    directory = tmp_path / "a 100% new directory"
    sink = open_hls(directory, with_audio=True)
    write_both(sink, frames=160, first_s=50)
    sink.close()
    playlist = playlist_in(directory)
    assert playlist.has_ended
    assert playlist.target_s == 2
    durations_s = [segment.duration_s for segment in playlist.segments]
    assert durations_s == pytest.approx([2, 2, 2, 0.4])
    assert {path.name for path in directory.iterdir()} == files_of(playlist)
    times = frame_times_by_ffmpeg(directory / "index.m3u8")
    assert len(times) == 160
    read = read_with_pyav(directory / "index.m3u8")
    assert read.keyframe_times == [0, 2, 4, 6]
    assert read.audio_start == 0
    for segment in playlist.segments:
        whole = tmp_path / "one.mp4"
        parts = (directory / segment.map_uri, directory / segment.uri)
        whole.write_bytes(b"".join(part.read_bytes() for part in parts))
        with av.open(str(whole)) as container:
            assert next(container.decode(video=0)).key_frame


def test_every_playlist_of_a_live_stream_follows_the_rules(tmp_path: Path) -> None:
    """Pictures at uneven times, a gap, and a clock that restarts."""
    sink, history = open_hls(tmp_path, with_audio=True), History(tmp_path)
    pts = 7 * CLOCK_HZ
    for index in range(520):
        pts += STEP + (index % 7 - 3) * 400
        if index == 170:
            pts += 20 * CLOCK_HZ
        if index == 340:
            pts = 3 * CLOCK_HZ
        sink.write_audio(sound(pts * 48 // 90, samples=1920, amplitude=3000))
        assert sink.write_video(picture(pts))
        history.look()
    sink.close()
    history.look()
    playlists = check_history(history.texts)
    assert len(playlists) >= 10
    last = playlists[-1]
    assert {each.discontinuity_sequence for each in last.segments} == {0, 1, 2}
    assert sum(each.duration_s for each in last.segments) == pytest.approx(520 / 25, abs=0.2)
    times = frame_times_by_ffmpeg(tmp_path / "index.m3u8")
    assert len(times) == 520
    assert times == sorted(times)
    assert max(b - a for a, b in pairwise(times)) < 0.1


def test_segments_go_on_in_time_where_a_gap_was(tmp_path: Path) -> None:
    sink = open_hls(tmp_path)
    for index in range(100):
        sink.write_video(picture(index * STEP + (CLOCK_HZ if index >= 60 else 0)))
    sink.close()
    ends = 0
    for segment in playlist_in(tmp_path).segments:
        fragment = read_fragment((tmp_path / segment.uri).read_bytes())
        assert fragment is not None
        assert fragment.is_independent
        assert fragment.start == ends
        ends += fragment.duration
    assert ends == 100 * STEP


def test_a_live_playlist_is_complete_at_every_moment(tmp_path: Path) -> None:
    sink = open_hls(tmp_path)
    for index in range(130):
        sink.write_video(picture(index * STEP))
    playlist = playlist_in(tmp_path)
    assert not playlist.has_ended
    assert [segment.duration_s for segment in playlist.segments] == [2, 2]
    sink.close()


@pytest.mark.parametrize("frame_rate", [2, 12.5, 60])
def test_any_frame_rate_keeps_to_its_target_duration(tmp_path: Path, frame_rate: float) -> None:
    sink, history = open_hls(tmp_path, frame_rate=frame_rate), History(tmp_path)
    for index in range(int(9 * frame_rate)):
        sink.write_video(picture(round(index * CLOCK_HZ / frame_rate)))
        history.look()
    sink.close()
    history.look()
    assert len(check_history(history.texts)[-1].segments) >= 4


def test_old_segments_are_deleted(tmp_path: Path) -> None:
    sink, history = open_hls(tmp_path, frame_rate=2), History(tmp_path)
    for index in range(2 * 2 * (SEGMENTS_KEPT + 8)):
        # A gap in between: its first header goes away with its last segment.
        sink.write_video(picture(index * 45_000 + (900_000 if index > 20 else 0)))
        history.look()
    sink.close()
    history.look()
    playlist = check_history(history.texts)[-1]
    assert len(playlist.segments) == SEGMENTS_LISTED
    assert playlist.segments[0].discontinuity_sequence == 1
    # A few more stay for players that still read an older playlist (RFC 8216 section 6.2.2).
    assert len(list(tmp_path.glob("*.m4s"))) == SEGMENTS_KEPT
    assert len(list(tmp_path.glob("*.mp4"))) == 1


def test_a_second_run_replaces_the_first_and_touches_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("the broadcaster's own page")
    for name in ("segment_7.ts", "segment_7.m4s", "header_7.mp4", "segment_8.m4s.tmp"):
        (tmp_path / name).write_text("left by a killed run")
    (tmp_path / "index.m3u8").write_text("#EXTM3U\n#EXTINF:2,\nsegment_7.m4s\n")
    sink = open_hls(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    sink.write_video(picture(0))
    sink.close()
    [segment] = playlist_in(tmp_path).segments
    assert segment.sequence > 7


def test_a_full_disk_ends_the_sink_with_whole_segments_and_an_end(tmp_path: Path) -> None:
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
    playlist = playlist_in(tmp_path)
    assert playlist.has_ended
    assert len(playlist.segments) >= 3
    left = {path.name for path in tmp_path.iterdir()}
    assert left >= files_of(playlist)
    assert all(name.startswith("header_") for name in left - files_of(playlist))
    frames = len(frame_times_by_ffmpeg(tmp_path / "index.m3u8"))
    assert frames == pytest.approx(25 * sum(each.duration_s for each in playlist.segments))
