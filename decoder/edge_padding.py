"""Pads LR frames to the sizes a network takes, and crops what it gives. Pure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from decoder.artefact_reference import Planes
from stream.frame import Frame, Size


def padded_size(size: Size, *, multiple_of: int) -> Size:
    """The smallest size of such multiples that holds `size`."""
    return Size(
        width=-(-size.width // multiple_of) * multiple_of,
        height=-(-size.height // multiple_of) * multiple_of,
    )


def pad_frame(frame: Frame, size: Size) -> Frame:
    """Repeat the right column and the bottom row up to `size`, which is even and not smaller."""
    if frame.size == size:
        return frame
    columns, rows = size.width - frame.size.width, size.height - frame.size.height
    half = ((0, rows // 2), (0, columns // 2))
    return replace(
        frame,
        y=np.pad(frame.y, ((0, rows), (0, columns)), mode="edge"),
        u=np.pad(frame.u, half, mode="edge"),
        v=np.pad(frame.v, half, mode="edge"),
    )


def crop_planes(planes: Planes, size: Size) -> Planes:
    """The top left `size` of y (H, W), u and v (H/2, W/2), C-contiguous."""
    y, u, v = planes
    height, width = size.height, size.width
    return (
        np.ascontiguousarray(y[:height, :width]),
        np.ascontiguousarray(u[: height // 2, : width // 2]),
        np.ascontiguousarray(v[: height // 2, : width // 2]),
    )
