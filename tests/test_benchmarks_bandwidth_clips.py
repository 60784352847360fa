from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.bandwidth.clips import RENDERED, prepare_clips
from stream.command_line import run_command
from stream.errors import ConfigError
from stream.frame import Frame, Size
from tests.bench_clips import RATE, moving_frames, write_video

LINES = 240


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 frames of 864x480: two shots."""
    size = Size(width=864, height=480)
    path = tmp_path_factory.mktemp("clips") / "big.mp4"
    write_video(path, [*moving_frames(8, seed=1, size=size), *moving_frames(4, seed=2, size=size)])
    return path


@pytest.fixture(scope="module")
def small_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "small.mp4"
    write_video(path, moving_frames(4, size=Size(width=320, height=180)))
    return path


def test_a_clip_is_cut_to_length_scaled_and_its_cuts_are_known(video: Path, tmp_path: Path) -> None:
    (clip,) = prepare_clips((video,), tmp_path, short_side=LINES, seconds=10)
    assert (clip.name, clip.size, clip.frames) == ("big", Size(width=432, height=240), 12)
    assert clip.frame_rate == RATE
    assert len(list(clip.read())) == 12
    assert clip.lead_in == 11
    assert clip.cuts == {4, 19}  # the lead-in is the clip backwards, with its cut
    judged, coded = list(clip.read()), list(clip.read_coded())
    assert [frame.pts for frame in coded[:3]] == [0, 3003, 6006]
    for frame, expected in zip(coded, [*judged[:0:-1], *judged], strict=True):
        assert (frame.y == expected.y).all()
    (short,) = prepare_clips((video,), tmp_path, short_side=LINES, seconds=0.2)
    assert short.frames == 6
    assert short.source_sha256 == clip.source_sha256
    assert short.digest != clip.digest


def test_rendered_clips_are_one_shot_each(tmp_path: Path) -> None:
    clips = prepare_clips((), tmp_path, short_side=LINES, seconds=0.4)
    assert tuple(clip.name for clip in clips) == RENDERED
    assert [(clip.frames, clip.cuts, str(clip.size)) for clip in clips] == [
        (10, frozenset(), "424x240")
    ] * 2
    assert clips[0].digest != clips[1].digest


def test_a_small_clip_is_refused_by_name_and_left_out_of_a_folder(
    video: Path, small_video: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError, match="320x180, smaller than the output of 240p"):
        prepare_clips((small_video,), tmp_path / "a", short_side=LINES, seconds=1)
    folder = tmp_path / "both"
    folder.mkdir()
    (folder / "big.mp4").write_bytes(video.read_bytes())
    (folder / "small.mp4").write_bytes(small_video.read_bytes())
    found = prepare_clips((folder,), tmp_path / "b", short_side=LINES, seconds=0.2)
    assert [clip.name for clip in found] == ["big"]
    assert "left out" in caplog.text
    (folder / "big.mp4").unlink()
    (folder / "other.mp4").write_bytes(small_video.read_bytes())
    with pytest.raises(ConfigError, match="no clip under"):
        prepare_clips((folder,), tmp_path / "c", short_side=LINES, seconds=0.2)


def test_clips_of_one_name_are_refused(video: Path, tmp_path: Path) -> None:
    other = tmp_path / "big.mkv"
    other.write_bytes(video.read_bytes())
    with pytest.raises(ConfigError, match="two clips are called big"):
        prepare_clips((video, other), tmp_path, short_side=LINES, seconds=0.2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--clips", "nowhere"], "nowhere does not exist"),
        (["--clips", "empty"], "no clips at empty"),
        (["--clips", "torn.mp4"], "torn.mp4 is not a video that can be read"),
        (["--clips", "small.mp4"], "smaller than the output of 720p"),
        (["--output-size", "721p"], "is not an output height"),
        (["--codecs", "vp7"], "known: h264, av1"),
        (["--models", "no-such"], "unknown model 'no-such'"),
        (["--bitrates", "fast"], "is not a bitrate"),
        (["--bitrates", "1k"], "out of range"),
        (["--seconds", "0"], "--seconds must be"),
        (["--jobs", "-1"], "--jobs must be"),
        (["--jobs", "100000"], "--jobs must be"),
        (["--models", "auto"], "name models"),
        (["--codecs", "h264", "h264"], "--codecs has h264 more than once"),
        (["--bitrates", "100k", "100000"], "--bitrates has 100k more than once"),
        (["--live-results", "nowhere.json"], "nowhere.json does not exist"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str],
    words: str,
    small_video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from benchmarks.cli import app

    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    (tmp_path / "small.mp4").write_bytes(small_video.read_bytes())
    assert run_command(app, ["bandwidth", *arguments]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said
    assert len(said.splitlines()) == 1


def test_frames_of_the_helper_are_what_they_say() -> None:
    frames: list[Frame] = moving_frames(3)
    assert (frames[1].y[:, :-2] == frames[0].y[:, 2:]).all()
