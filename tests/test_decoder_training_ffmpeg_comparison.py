from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from decoder.training.config import EvalConfig
from decoder.training.evaluate import evaluate
from decoder.training.ffmpeg_comparison import FfmpegComparison, find_ffmpeg
from stream.errors import CodecError, ConfigError
from stream.frame import Size
from tests.training_media import moving_frame


@pytest.fixture(autouse=True)
def _looks_anew() -> Iterator[None]:
    find_ffmpeg.cache_clear()
    yield
    find_ffmpeg.cache_clear()


def test_an_ffmpeg_without_a_filter_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho ' .. ssim VV->V SSIM'\necho ' TS psnr VV->V PSNR'\n")
    program.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))
    with pytest.raises(ConfigError, match="has no libvmaf, xpsnr, which") as refusal:
        find_ffmpeg("psnr", "libvmaf", "xpsnr", "ssim")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("program", ["/nonesuch", "/dev/null"])
def test_a_program_that_cannot_be_run_is_named(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", program)
    with pytest.raises(ConfigError, match=f"cannot be run: {program}|pip install"):
        find_ffmpeg("libvmaf")


def test_an_evaluation_says_how_to_do_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clip.y4m").write_bytes(b"YUV4MPEG2")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/bin/true")
    config = EvalConfig(models=("live-xs-x2",), clips=(tmp_path,), vmaf=True)
    with pytest.raises(ConfigError, match=r"has no libvmaf, .*, or evaluate with --no-vmaf"):
        next(evaluate(config))


def test_tags_that_differ_change_no_sample(tmp_path: Path) -> None:
    frame = moving_frame(0, width=64, height=64)
    original = tmp_path / "clip.y4m"
    planes = b"".join(plane.tobytes() for plane in (frame.y, frame.u, frame.v))
    header = b"YUV4MPEG2 W64 H64 F25:1 Ip A1:1 C420jpeg XCOLORRANGE=FULL\n"
    original.write_bytes(header + b"FRAME\n" + planes)
    with FfmpegComparison(
        original,
        size=frame.size,
        frame_rate=Fraction(25),
        count=1,
        filters={"psnr": "stats_file=psnr"},
    ) as comparison:
        comparison.push(frame)
        said = (comparison.finish() / "psnr").read_text()
    assert "psnr_y:inf" in said


def test_what_ffmpeg_says_of_a_clip_that_it_cannot_read_is_told(tmp_path: Path) -> None:
    damaged = tmp_path / "clip.y4m"
    damaged.write_bytes(b"no clip")
    with (
        FfmpegComparison(
            damaged,
            size=Size(width=64, height=64),
            frame_rate=Fraction(25),
            count=0,
            filters={"psnr": "stats_file=psnr"},
        ) as comparison,
        pytest.raises(CodecError, match="ffmpeg cannot compare: "),
    ):
        comparison.finish()
