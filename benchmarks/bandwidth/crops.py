"""The part of a picture that the report shows, cut out of every point at the same place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import Colorspace

from benchmarks.bandwidth.clips import BenchClip
from benchmarks.comparison import most_detailed
from stream.errors import CodecError
from stream.frame import Frame, Size
from stream.frame_av import frame_to_av

CROP_SIZE = Size(width=480, height=270)
WHEN = 2 / 3
"""How far into the clip: past the first keyframe, which flatters, and mostly past a cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CropPlace:
    """index: of the frame. x, y: even. size: even, inside the picture."""

    index: int
    x: int
    y: int
    size: Size

    def cut(self, frame: Frame) -> Frame:
        """That part of a frame."""
        x, y, width, height = self.x, self.y, self.size.width, self.size.height
        half = slice(y // 2, (y + height) // 2), slice(x // 2, (x + width) // 2)
        return replace(
            frame,
            y=np.ascontiguousarray(frame.y[y : y + height, x : x + width]),
            u=np.ascontiguousarray(frame.u[half]),
            v=np.ascontiguousarray(frame.v[half]),
        )


def place_in(clip: BenchClip) -> CropPlace:
    """The most detailed part of a frame at WHEN of a clip."""
    index = min(clip.frames - 1, round(WHEN * clip.frames))
    frame = next(frame for i, frame in enumerate(clip.read()) if i == index)
    size = Size(
        width=min(CROP_SIZE.width, frame.size.width),
        height=min(CROP_SIZE.height, frame.size.height),
    )
    x, y = most_detailed(frame, size.width, size.height)
    return CropPlace(index=index, x=x & ~1, y=y & ~1, size=size)


def picture_file(frame: Frame) -> bytes:
    """A picture as lossless WebP, in RGB by the matrix of HD (BT.709)."""
    picture = frame_to_av(frame).reformat(
        format="bgra", src_colorspace=Colorspace.ITU709, dst_colorspace=Colorspace.ITU709
    )
    context = av.CodecContext.create("libwebp", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = picture.width, picture.height, "bgra"
    context.time_base = Fraction(1, 25)
    context.options = {"lossless": "1"}
    try:
        return b"".join(bytes(p) for p in (*context.encode(picture), *context.encode(None)))
    except av.FFmpegError as error:
        raise CodecError(f"a picture of {frame.size} cannot be kept: {error}") from error
