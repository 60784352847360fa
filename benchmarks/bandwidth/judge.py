"""The quality of pictures against their originals, by ffmpeg and libvmaf, frame by frame."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.bandwidth.clips import BenchClip
from decoder.training.ffmpeg_comparison import VMAF_MODELS, FfmpegComparison, find_ffmpeg
from stream.errors import CodecError
from stream.frame import Frame

BEST_PSNR_DB = 100.0
"""Stands for the infinite PSNR of equal pictures, so that means over frames stay finite."""

_FILTERS = {
    "libvmaf": f"model='{VMAF_MODELS}':n_threads=1:log_fmt=json:log_path=vmaf",
    "xpsnr": "stats_file=xpsnr",
    "ssim": "stats_file=ssim",
    "psnr": "stats_file=psnr",
}
_XPSNR = re.compile(r"^n:\s*(\d+)\s+XPSNR y:\s*(\S+)", re.MULTILINE)
_SSIM = re.compile(r"^n:(\d+) Y:(\S+)", re.MULTILINE)
_PSNR = re.compile(r"^n:(\d+) .*?psnr_y:(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Means over the frames of a clip. psnr_y_db, ssim_y, xpsnr_y_db: luma. vmaf: v0.6.1."""

    psnr_y_db: float
    ssim_y: float
    vmaf: float
    vmaf_neg: float
    xpsnr_y_db: float

    def as_dict(self) -> dict[str, float]:
        """For JSON, to four decimals."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


METRICS = {
    "vmaf_neg": "VMAF-NEG",
    "vmaf": "VMAF",
    "psnr_y_db": "PSNR-Y (dB)",
    "ssim_y": "SSIM",
    "xpsnr_y_db": "XPSNR-Y (dB)",
}
"""Names of the fields of `Quality` and what a reader calls them, the most honest first."""


def ffmpeg_that_judges() -> str:
    """Path of an ffmpeg that has all that is needed; ConfigError that says how to get one."""
    return find_ffmpeg(*_FILTERS)


def judge(
    frames: Iterable[Frame],
    original: BenchClip,
    *,
    watch: Callable[[int, Frame], None] = lambda index, frame: None,
) -> Quality:
    """Compare pictures with the original's, the first with the first, in one pass of ffmpeg.

    watch: is shown each picture, for whoever wants to keep one.
    Raises CodecError when the sizes or the counts differ or ffmpeg fails.
    """
    with FfmpegComparison(
        original.path,
        size=original.size,
        frame_rate=original.frame_rate,
        count=original.frames,
        filters=_FILTERS,
    ) as comparison:
        for index, frame in enumerate(frames):
            comparison.push(frame)
            watch(index, frame)
        return _read(comparison.finish(), original.frames)


def _read(folder: Path, count: int) -> Quality:
    vmaf = json.loads((folder / "vmaf").read_text())["frames"]
    values = {
        "vmaf": [frame["metrics"]["vmaf"] for frame in vmaf],
        "vmaf_neg": [frame["metrics"]["vmaf_neg"] for frame in vmaf],
        "xpsnr_y_db": _column(folder / "xpsnr", _XPSNR),
        "ssim_y": _column(folder / "ssim", _SSIM),
        "psnr_y_db": _column(folder / "psnr", _PSNR),
    }
    for name, column in values.items():
        if len(column) != count:
            raise CodecError(f"ffmpeg compared {len(column)} of {count} pictures ({name})")
    return Quality(**{name: float(np.mean(column)) for name, column in values.items()})


def _column(path: Path, pattern: re.Pattern[str]) -> list[float]:
    found = pattern.findall(path.read_text())
    if [int(number) for number, _ in found] != list(range(1, len(found) + 1)):
        raise CodecError(f"ffmpeg left out pictures in {path.name}")
    values = [float(value) for _, value in found]
    return [min(value, BEST_PSNR_DB) for value in values]
