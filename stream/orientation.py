"""Upright pictures: what a display matrix asks for, done to planes. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

import numpy as np

from stream.frame import Frame, Plane


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """One of the eight ways to lay a picture: transposed first, then mirrored."""

    is_transposed: bool = False
    mirrors_left_right: bool = False
    mirrors_top_bottom: bool = False

    @property
    def is_upright(self) -> bool:
        """Whether nothing has to be done."""
        return self == UPRIGHT


UPRIGHT = Orientation()


def read_display_matrix(data: bytes) -> Orientation:
    """The orientation that a display matrix asks for (ISO/IEC 14496-12 section 6.2.2).

    data: nine native 32-bit integers a b u c d v x y w; a point (x, y) moves to
    (a*x + c*y, b*x + d*y), y downwards. Only right angles and mirrors exist for a live picture:
    anything else (a tilt, a zoom, a damaged matrix) is upright.
    """
    if len(data) != 36:
        return UPRIGHT
    a, b, _, c, d, *_ = struct.unpack("=9i", data)
    if a and d and not b and not c:
        return Orientation(mirrors_left_right=a < 0, mirrors_top_bottom=d < 0)
    if b and c and not a and not d:
        return Orientation(is_transposed=True, mirrors_left_right=c < 0, mirrors_top_bottom=b < 0)
    return UPRIGHT


def orient(frame: Frame, orientation: Orientation) -> Frame:
    """The frame laid out as asked; width and height change places when it is transposed."""
    if orientation.is_upright:
        return frame
    return replace(
        frame,
        y=_orient_plane(frame.y, orientation),
        u=_orient_plane(frame.u, orientation),
        v=_orient_plane(frame.v, orientation),
    )


def _orient_plane(plane: Plane, orientation: Orientation) -> Plane:
    if orientation.is_transposed:
        plane = plane.T
    if orientation.mirrors_left_right:
        plane = plane[:, ::-1]
    if orientation.mirrors_top_bottom:
        plane = plane[::-1]
    return np.ascontiguousarray(plane)
