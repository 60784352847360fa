"""The bridge between `Frame` and PyAV's `av.VideoFrame`, the only place that knows both."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import ColorRange

from stream.errors import FrameError
from stream.frame import CLOCK_HZ, Colour, Frame, Plane

TIME_BASE = Fraction(1, CLOCK_HZ)

_FULL_RANGE = int(ColorRange.JPEG)
_LIMITED_RANGE = int(ColorRange.MPEG)

# Full range 0..255 to limited range (ITU-T H.273 equations 20 to 25), rounded.
_LUMA_TO_LIMITED = np.clip(np.round(np.arange(256) * 219 / 255 + 16), 16, 235).astype(np.uint8)
_CHROMA_TO_LIMITED = np.clip(np.round((np.arange(256) - 128) * 224 / 255 + 128), 16, 240).astype(
    np.uint8
)


def frame_from_av(
    picture: av.VideoFrame,
    *,
    pts: int,
    quantiser: float | None = None,
    is_keyframe: bool | None = None,
    is_damaged: bool = False,
    entered_ms: float | None = None,
) -> Frame:
    """Copy a yuv420p (or full-range yuvj420p) picture into a `Frame` with limited range.

    Odd sizes lose their last row or column, since 4:2:0 planes of half the size must exist.
    Raises FrameError for any other pixel format or a picture smaller than 2x2.
    """
    if picture.format.name not in ("yuv420p", "yuvj420p"):
        raise FrameError(f"expected yuv420p, got {picture.format.name}")
    width, height = picture.width & ~1, picture.height & ~1
    if width < 2 or height < 2:
        raise FrameError(f"picture of {picture.width}x{picture.height} is too small")
    y = _plane(picture.planes[0], width, height)
    u = _plane(picture.planes[1], width // 2, height // 2)
    v = _plane(picture.planes[2], width // 2, height // 2)
    if picture.format.name == "yuvj420p" or int(picture.color_range) == _FULL_RANGE:
        y, u, v = _LUMA_TO_LIMITED[y], _CHROMA_TO_LIMITED[u], _CHROMA_TO_LIMITED[v]
    return Frame(
        y=y,
        u=u,
        v=v,
        pts=pts,
        colour=Colour(
            primaries=int(picture.color_primaries),
            transfer=int(picture.color_trc),
            matrix=int(picture.colorspace),
        ),
        quantiser=quantiser,
        is_keyframe=bool(picture.key_frame) if is_keyframe is None else is_keyframe,
        is_damaged=is_damaged,
        entered_ms=entered_ms,
    )


def frame_to_av(frame: Frame) -> av.VideoFrame:
    """Copy a `Frame` into a new yuv420p `av.VideoFrame` with pts in 1/90000 s and colour tags."""
    picture = av.VideoFrame(frame.size.width, frame.size.height, "yuv420p")
    for target, plane in zip(picture.planes, (frame.y, frame.u, frame.v), strict=True):
        rows = np.frombuffer(memoryview(target), np.uint8).reshape(target.height, target.line_size)
        rows[:, : target.width] = plane
    picture.pts = frame.pts
    picture.time_base = TIME_BASE
    picture.color_range = ColorRange.MPEG
    picture.color_primaries = frame.colour.primaries
    picture.color_trc = frame.colour.transfer
    picture.colorspace = frame.colour.matrix
    return picture


def _plane(plane: av.video.plane.VideoPlane, width: int, height: int) -> Plane:
    rows = np.frombuffer(memoryview(plane), np.uint8)[: plane.line_size * plane.height]
    return np.ascontiguousarray(rows.reshape(plane.height, plane.line_size)[:height, :width])
