"""The quality of a restored clip against its original, measured frame by frame as it comes."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from statistics import fmean
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from decoder.training.metrics import flicker_db, psnr_db, ssim
from decoder.training.raw_clip import RawClip
from decoder.training.vmaf_judge import VmafJudge
from stream.errors import CodecError
from stream.frame import Frame, Plane


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Means over the frames of a clip, luma only; in all of them more is better.

    ssim_y: -1 to 1. flicker_db: PSNR of the differences between consecutive frames, None for a
    clip of one frame. vmaf, vmaf_neg: 0 to 100, None when they were not measured.
    """

    psnr_y_db: float
    ssim_y: float
    flicker_db: float | None = None
    vmaf: float | None = None
    vmaf_neg: float | None = None


METRICS = {
    "psnr_y_db": "PSNR-Y",
    "ssim_y": "SSIM-Y",
    "vmaf_neg": "VMAF-NEG",
    "vmaf": "VMAF",
    "flicker_db": "flicker",
}
"""The fields of `Quality` and what a table calls them."""


class QualityMeter:
    """Takes the restored frames of a clip in order; a context manager."""

    def __init__(self, original: RawClip, *, vmaf: bool) -> None:
        """Raises ConfigError when VMAF is wanted and nothing here can measure it."""
        self._original = original
        self._last: tuple[Plane, NDArray[np.uint8]] | None = None
        self._psnrs_db: list[float] = []
        self._ssims: list[float] = []
        self._flickers_db: list[float] = []
        self._open = ExitStack()
        self._judge = self._open.enter_context(VmafJudge(original)) if vmaf else None

    def __enter__(self) -> QualityMeter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def push(self, frame: Frame) -> None:
        """The next frame. Raises CodecError for one too many, FrameError for one of another size.

        CodecError also when ffmpeg fails.
        """
        count = len(self._psnrs_db)
        if count >= len(self._original):
            raise CodecError(f"more than the {len(self._original)} frames of a clip came back")
        original = self._original.luma(count)
        self._psnrs_db.append(psnr_db(frame.y, original))
        self._ssims.append(ssim(frame.y, original))
        if self._last is not None:
            self._flickers_db.append(flicker_db(*self._last, frame.y, original))
        self._last = frame.y, original
        if self._judge is not None:
            self._judge.push(frame)

    def quality(self) -> Quality:
        """After the last frame. Raises CodecError when some are missing."""
        if len(self._psnrs_db) != len(self._original):
            raise CodecError(
                f"{len(self._psnrs_db)} of {len(self._original)} frames of a clip came back"
            )
        judged = self._judge.scores() if self._judge is not None else None
        return Quality(
            psnr_y_db=fmean(self._psnrs_db),
            ssim_y=fmean(self._ssims),
            flicker_db=fmean(self._flickers_db) if self._flickers_db else None,
            vmaf=judged.vmaf if judged else None,
            vmaf_neg=judged.vmaf_neg if judged else None,
        )
