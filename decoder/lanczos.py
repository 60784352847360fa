"""Resizes frames by the Lanczos kernel: the picture that a network has to beat, and its fallback.

The kernel is swscale's (3 lobes), with exact rounding; luma and chroma planes are scaled each on
its own grid, and no colour conversion takes place.
"""

from __future__ import annotations

from dataclasses import replace

import av
import av.error
from av.video.reformatter import Interpolation, VideoReformatter

from stream.errors import FrameError
from stream.frame import Frame, Size
from stream.frame_av import frame_from_av, frame_to_av

_EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP


class LanczosScaler:
    """Resizes frames to one size. Not thread-safe; keeps the tables of the last input size."""

    _kernel = Interpolation.LANCZOS

    def __init__(self, size: Size) -> None:
        """Raises FrameError when `size` is odd."""
        if not size.is_even:
            raise FrameError(f"4:2:0 frames have even sizes, got {size}")
        self._size = size
        self._reformatter = VideoReformatter()

    def scale(self, frame: Frame) -> Frame:
        """The picture in the new size, with everything else the frame carries; itself if equal.

        Raises FrameError when swscale cannot scale between the two sizes.
        """
        if frame.size == self._size:
            return frame
        try:
            picture = self._reformatter.reformat(
                frame_to_av(frame),
                width=self._size.width,
                height=self._size.height,
                interpolation=self._kernel | _EXACT,
            )
        except (av.error.FFmpegError, ValueError) as error:
            raise FrameError(f"cannot scale {frame.size} to {self._size}: {error}") from error
        scaled = frame_from_av(picture, pts=frame.pts)
        return replace(frame, y=scaled.y, u=scaled.u, v=scaled.v)
