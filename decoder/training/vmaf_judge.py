"""VMAF and VMAF-NEG of pictures against a clip, by the ffmpeg that the package imageio-ffmpeg has.

Plain VMAF rewards sharpening; NEG ("no enhancement gain") does not, so NEG decides and VMAF is told
beside it. ffmpeg pairs pictures by timestamp and converts a side whose colour tags differ, both
unasked: so both sides come at one rate, with the same tags, and the pairs are counted.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from types import TracebackType

from decoder.training.raw_clip import RawClip
from stream.errors import CodecError, ConfigError
from stream.frame import Frame

_VMAF, _NEG = "vmaf_v0.6.1", "vmaf_v0.6.1neg"
_MODELS = rf"version={_VMAF}\:name=vmaf|version={_NEG}\:name=neg"
_TAGS = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
_LOG = "vmaf.json"
_THREADS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class VmafScores:
    """Means over the frames of a clip, 0 to 100."""

    vmaf: float
    vmaf_neg: float


@cache
def find_ffmpeg() -> str:
    """An ffmpeg that measures VMAF. Raises ConfigError that says how to get one."""
    advice = "pip install 'edvr-live[bench]', or evaluate with --no-vmaf"
    try:
        import imageio_ffmpeg

        program = str(imageio_ffmpeg.get_ffmpeg_exe())
        listed = subprocess.run(
            [program, "-hide_banner", "-filters"], capture_output=True, text=True, check=False
        )
    except (ImportError, RuntimeError, OSError) as error:
        raise ConfigError(f"VMAF needs the ffmpeg of imageio-ffmpeg: {advice}") from error
    if " libvmaf " not in listed.stdout:
        raise ConfigError(f"{program} is built without libvmaf: {advice}")
    return program


@cache
def judge_version() -> str:
    """Which program and models judge, in one line."""
    done = subprocess.run([find_ffmpeg(), "-version"], capture_output=True, text=True, check=False)
    return f"{done.stdout.partition(' Copyright')[0]}, {_VMAF}, {_NEG}"


class VmafJudge:
    """Compares pictures, pushed one by one, with the frames of `original` in order.

    Use as a context manager: leaving it early ends the program that compares.
    """

    def __init__(self, original: RawClip) -> None:
        """Raises ConfigError when there is no ffmpeg that can."""
        self._original, self._pushed = original, 0
        self._folder = TemporaryDirectory(prefix="edvr-vmaf-")
        rate = str(original.frame_rate)
        graph = (
            f"[0:v]{_TAGS}[seen];[1:v]{_TAGS}[meant];[seen][meant]libvmaf=model='{_MODELS}'"
            f":n_threads={_THREADS}:log_fmt=json:log_path={_LOG}"
        )
        command = [find_ffmpeg(), "-nostdin", "-hide_banner", "-loglevel", "error"]
        command += ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", str(original.size)]
        command += ["-r", rate, "-i", "pipe:0", "-r", rate, "-i", str(original.path.resolve())]
        command += ["-filter_complex", graph, "-f", "null", "-"]
        with (Path(self._folder.name) / "said").open("wb") as said:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder.name,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )

    def __enter__(self) -> VmafJudge:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hang_up()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def push(self, frame: Frame) -> None:
        """Compare a picture. Raises CodecError when its size is wrong or the program has failed."""
        if frame.size != self._original.size:
            raise CodecError(f"a picture of {frame.size} came back for {self._original.size}")
        assert self._process.stdin is not None
        try:
            for plane in (frame.y, frame.u, frame.v):
                self._process.stdin.write(plane.data)
        except BrokenPipeError as error:
            self._process.wait()
            raise CodecError(f"ffmpeg cannot measure VMAF: {self._said()}") from error
        self._pushed += 1

    def scores(self) -> VmafScores:
        """After the last picture. Raises CodecError unless each was compared."""
        self._hang_up()
        if self._process.wait():
            raise CodecError(f"ffmpeg cannot measure VMAF: {self._said()}")
        frames = json.loads((Path(self._folder.name) / _LOG).read_text())["frames"]
        if not len(frames) == self._pushed == len(self._original):
            raise CodecError(
                f"VMAF compared {len(frames)} of {self._pushed} pictures with a clip of"
                f" {len(self._original)}"
            )
        vmaf, neg = (fmean(f["metrics"][name] for f in frames) for name in ("vmaf", "neg"))
        return VmafScores(vmaf=vmaf, vmaf_neg=neg)

    def _hang_up(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # its exit status says more
            self._process.stdin.close()

    def _said(self) -> str:
        lines = (Path(self._folder.name) / "said").read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"
