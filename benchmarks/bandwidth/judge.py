"""The quality of pictures against their originals, by ffmpeg and libvmaf, frame by frame.

Two traps, both closed here. ffmpeg pairs pictures by *timestamp*, so both inputs get the same rate
and the number of pairs is compared with the number of pictures. And where colour tags differ it
converts one side unasked, so both sides get the same tags.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.bandwidth.clips import BenchClip
from stream.errors import CodecError, ConfigError
from stream.frame import Frame

BEST_PSNR_DB = 100.0
"""Stands for the infinite PSNR of equal pictures, so that means over frames stay finite."""

_TAGS = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
_MODELS = r"version=vmaf_v0.6.1\:name=vmaf|version=vmaf_v0.6.1neg\:name=vmaf_neg"
_NEEDED_FILTERS = ("libvmaf", "xpsnr", "ssim", "psnr")
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


@cache
def ffmpeg_with_vmaf() -> str:
    """Path of an ffmpeg that has all that is needed; ConfigError that says how to get one."""
    how = "install it with: pip install 'edvr-live[bench]'"
    try:
        import imageio_ffmpeg

        program = str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise ConfigError(f"measuring quality needs imageio-ffmpeg; {how}") from error
    return checked_ffmpeg(program)


def checked_ffmpeg(program: str) -> str:
    """`program`, when it is an ffmpeg with every filter; ConfigError otherwise."""
    try:
        listed = subprocess.run(
            [program, "-hide_banner", "-filters"], capture_output=True, text=True, check=False
        ).stdout
    except OSError as error:
        raise ConfigError(f"ffmpeg cannot be run: {program}: {error.strerror}") from error
    have = {words[1] for line in listed.splitlines() if len(words := line.split()) > 2}
    missing = [name for name in _NEEDED_FILTERS if name not in have]
    if missing:
        raise ConfigError(
            f"{program} has no {', '.join(missing)}, which measuring quality needs: unset "
            "IMAGEIO_FFMPEG_EXE, or let it name an ffmpeg built with libvmaf"
        )
    return program


@cache
def judge_version() -> str:
    """What judges: the first line of `ffmpeg -version`, and the filters as they are used."""
    said = subprocess.run(
        [ffmpeg_with_vmaf(), "-version"], capture_output=True, text=True, check=False
    ).stdout
    return f"{said.splitlines()[0].partition(' Copyright')[0]}; {_MODELS}"


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
    size, rate = original.size, str(original.frame_rate)
    with TemporaryDirectory(prefix="edvr-judge-") as name:
        folder = Path(name)
        raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", str(size), "-r", rate, "-i", "pipe:0"]
        command = [ffmpeg_with_vmaf(), "-nostdin", "-hide_banner", "-loglevel", "error"]
        command += [*raw, "-r", rate, "-i", str(original.path.resolve())]
        command += ["-filter_complex", _filters()]
        for output in ("[v]", "[x]", "[s]", "[p]"):
            command += ["-map", output, "-f", "null", "-"]
        with (folder / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.PIPE, stderr=stderr, stdout=subprocess.DEVNULL
            )
        try:
            count = _feed(process, frames, original, watch)
            status = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
            raise
        if status:
            said = (folder / "stderr").read_text(errors="replace").strip().splitlines()
            raise CodecError(f"ffmpeg cannot compare: {said[-1] if said else status}")
        if count != original.frames:
            raise CodecError(f"{count} of {original.frames} pictures of {original.name} came back")
        return _read(folder, count)


def _filters() -> str:
    lines = []
    for index, side in enumerate("dr"):  # distorted, reference
        ends = "".join(f"[{side}{n}]" for n in range(4))
        lines.append(f"[{index}:v]{_TAGS},split=4{ends}")
    lines += [
        f"[d0][r0]libvmaf=model='{_MODELS}':n_threads=1:log_fmt=json:log_path=vmaf[v]",
        "[d1][r1]xpsnr=stats_file=xpsnr[x]",
        "[d2][r2]ssim=stats_file=ssim[s]",
        "[d3][r3]psnr=stats_file=psnr[p]",
    ]
    return ";".join(lines)


def _feed(
    process: subprocess.Popen[bytes],
    frames: Iterable[Frame],
    original: BenchClip,
    watch: Callable[[int, Frame], None],
) -> int:
    assert process.stdin is not None
    count = 0
    try:
        for frame in frames:
            if frame.size != original.size:
                raise CodecError(f"a picture of {frame.size} came back for {original.size}")
            watch(count, frame)
            for plane in (frame.y, frame.u, frame.v):
                process.stdin.write(plane.data)
            count += 1
        process.stdin.close()
    except BrokenPipeError:
        pass  # its exit status says more
    return count


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
