"""An encoder is used when it works, not when it says that it does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import pytest

from decoder import video_codec
from decoder.cli import app
from decoder.sink import open_sink
from decoder.video_codec import HARDWARE, X264, H264Codec, choose_codec, problem_with
from stream.command_line import EXIT_USER, run_command
from stream.errors import ConfigError
from tests.sink_media import SIZE, STEP, frame_times_by_ffmpeg, picture

GOOD = H264Codec(
    name="nvenc",
    codec="libx264",
    pixel_format="nv12",
    options=(
        *(("preset", "ultrafast"), ("tune", "zerolatency"), ("forced-idr", "1")),
        ("x264-params", "scenecut=0"),
    ),
)
"""A real encoder in the place of a hardware one that works."""


def with_options(**changes: str) -> H264Codec:
    return replace(GOOD, options=tuple((dict(GOOD.options) | changes).items()))


def test_one_that_works_has_no_problem() -> None:
    assert problem_with(GOOD, SIZE) is None


@pytest.mark.parametrize(
    ("codec", "says"),
    [
        (replace(GOOD, codec="h264_nobody"), "h264_nobody"),
        (with_options(profile="nonsense"), "."),
        (with_options(tune="film", bf="2"), "holds pictures back"),
        (with_options(**{"x264-params": "scenecut=0:keyint=3:min-keyint=1"}), "as it likes"),
        (with_options(crf="51"), "pictures are wrong"),
        (replace(GOOD, codec="mpeg4", pixel_format="yuv420p", options=()), "."),
    ],
)
def test_one_that_opens_but_does_not_work_is_found_out(codec: H264Codec, says: str) -> None:
    problem = problem_with(codec, SIZE)
    assert problem is not None
    assert says in problem or says == "."


def test_hardware_is_taken_where_it_works_and_makes_whole_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = with_options(profile="nonsense")
    monkeypatch.setattr(video_codec, "HARDWARE", (replace(broken, name="qsv"), GOOD))
    assert choose_codec("auto", SIZE) is GOOD
    assert choose_codec("nvenc", SIZE) is GOOD
    assert choose_codec("x264", SIZE) is X264
    sink = open_sink(f"{tmp_path}/x.mp4", size=SIZE, frame_rate=25, with_audio=False)
    for index in range(60):
        sink.write_video(picture(index * STEP))
    sink.close()
    assert len(frame_times_by_ffmpeg(f"{tmp_path}/x.mp4")) == 60


def test_without_hardware_it_is_x264(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_codec, "HARDWARE", (replace(GOOD, codec="h264_nobody"),))
    assert choose_codec("auto", SIZE) is X264


def test_asking_for_what_is_not_there_is_one_line_before_anything_is_received(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(video_codec, "HARDWARE", (replace(GOOD, codec="h264_nobody"),))
    with pytest.raises(ConfigError):
        choose_codec("nvenc", SIZE)
    assert run_command(app, ["--output", "null:", "--output-codec", "nvenc"]) == EXIT_USER
    said = capsys.readouterr().err
    assert "--output-codec nvenc does not work here" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("codec", HARDWARE, ids=lambda codec: codec.name)
def test_every_option_of_a_hardware_codec_is_one_that_it_has(codec: H264Codec) -> None:
    if codec.codec not in av.codecs_available:
        pytest.skip(f"{codec.codec} is not in this PyAV")
    supported = av.CodecContext.create(codec.codec, "w").supported_options
    known = {option.name for option in (*supported.private, *supported.generic)}
    assert [name for name, _ in codec.options if name not in known] == []
