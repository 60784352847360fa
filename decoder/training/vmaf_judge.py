"""VMAF and VMAF-NEG of pictures against a clip; NEG decides, VMAF is told beside it."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import fmean
from types import TracebackType

from decoder.training.ffmpeg_comparison import VMAF_MODELS, FfmpegComparison
from decoder.training.raw_clip import RawClip
from stream.errors import CodecError
from stream.frame import Frame

_LOG = "vmaf.json"
_THREADS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class VmafScores:
    """Means over the frames of a clip, 0 to 100."""

    vmaf: float
    vmaf_neg: float


class VmafJudge:
    """Compares pictures, pushed one by one, with the frames of `original` in order.

    Use as a context manager: leaving it early ends the program that compares.
    """

    def __init__(self, original: RawClip) -> None:
        """Raises ConfigError when there is no ffmpeg that can."""
        options = f"model='{VMAF_MODELS}':n_threads={_THREADS}:log_fmt=json:log_path={_LOG}"
        self._count = len(original)
        self._comparison = FfmpegComparison(
            original.path,
            size=original.size,
            frame_rate=original.frame_rate,
            count=self._count,
            filters={"libvmaf": options},
        )
        self._open = ExitStack()
        self._open.enter_context(self._comparison)

    def __enter__(self) -> VmafJudge:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def push(self, frame: Frame) -> None:
        """Compare a picture. Raises CodecError when its size is wrong or the program has failed."""
        self._comparison.push(frame)

    def scores(self) -> VmafScores:
        """After the last picture. Raises CodecError unless each was compared."""
        frames = json.loads((self._comparison.finish() / _LOG).read_text())["frames"]
        if len(frames) != self._count:
            raise CodecError(f"VMAF compared {len(frames)} of {self._count} pictures")
        vmaf, neg = (fmean(f["metrics"][name] for f in frames) for name in ("vmaf", "vmaf_neg"))
        return VmafScores(vmaf=vmaf, vmaf_neg=neg)
