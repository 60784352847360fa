"""What shrinking takes away from the pictures of a source: the sender alone can tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from encoder.downscale import Downscaler
from stream.frame import Frame, Plane, Size
from stream.frame_av import frame_from_av, frame_to_av


class ShrinkMeter:
    """Shrinks and enlarges single frames; keeps the filter tables between. Not thread-safe."""

    def __init__(self) -> None:
        self._full = Downscaler()
        self._downscalers: dict[Size, Downscaler] = {}
        self._enlargers: dict[Size, VideoReformatter] = {}

    def measure(self, frame: Frame, *, sizes: Sequence[Size], full: Size) -> tuple[float, ...]:
        """Mean squared error of the luma at `full` size after passing through each of `sizes`.

        None of them is larger than `full`, which is not larger than the frame. Takes about 10 ms
        for three sizes of 1280x720.
        """
        original = self._full.downscale(frame, size=full)
        return tuple(
            0.0 if size == full else _mse(original.y, self._through(original, size))
            for size in sizes
        )

    def _through(self, original: Frame, size: Size) -> Plane:
        small = self._downscalers.setdefault(size, Downscaler()).downscale(original, size=size)
        enlarged = self._enlargers.setdefault(size, VideoReformatter()).reformat(
            frame_to_av(small),
            width=original.size.width,
            height=original.size.height,
            interpolation=Interpolation.BICUBIC,
        )
        return frame_from_av(enlarged, pts=original.pts).y


def _mse(a: Plane, b: Plane) -> float:
    return float(np.mean(np.square(a.astype(np.int16) - b, dtype=np.int32)))
