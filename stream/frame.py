"""The one picture type of the live path: planar 4:2:0, 8 bit, limited range."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stream.errors import FrameError

Plane = NDArray[np.uint8]

CLOCK_HZ = 90_000
"""RTP clock of every video payload format (RFC 6184 section 8.2.1): unit of `Frame.pts`."""

UNSPECIFIED = 2
"""ITU-T H.273 code point for "not known"."""

NEUTRAL_CHROMA = 128
"""The value of u and v where there is no colour."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Size:
    """Width and height in luma samples, both positive."""

    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise FrameError(f"a picture needs a positive size, got {self}")

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def is_even(self) -> bool:
        """Whether 4:2:0 chroma planes of exactly half the size exist."""
        return self.width % 2 == 0 and self.height % 2 == 0

    def fit_inside(self, box: Size) -> Size:
        """The largest even size of this aspect ratio inside `box`, at least 2x2."""
        scale = min(box.width / self.width, box.height / self.height)
        return Size(
            width=max(2, min(box.width, 2 * round(self.width * scale / 2))),
            height=max(2, min(box.height, 2 * round(self.height * scale / 2))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Colour:
    """Colour description in ITU-T H.273 code points, carried along and never guessed."""

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One progressive picture: I420, 8 bit, limited range (luma 16..235, chroma 16..240).

    y: uint8 (H, W); u, v: uint8 (H/2, W/2); H and W even; C-contiguous and not written after.
    pts: unwrapped presentation time in 1/90000 s.
    quantiser: how coarsely it was coded, in H.264 QP units (0..51); None when not known.
    is_keyframe: whether it was coded without reference to others.
    is_damaged: whether a decoder concealed missing data in it, or in a frame it was predicted from.
    entered_ms: monotonic time at which it (or its last packet) entered this process; None offline.

    Raises FrameError when shapes, dtype or layout differ.
    """

    y: Plane
    u: Plane
    v: Plane
    pts: int
    colour: Colour = Colour()
    quantiser: float | None = None
    is_keyframe: bool = False
    is_damaged: bool = False
    entered_ms: float | None = None

    def __post_init__(self) -> None:
        if self.y.ndim != 2 or self.y.shape[0] % 2 or self.y.shape[1] % 2 or not self.y.size:
            raise FrameError(f"luma must be (H, W) with even H and W, got {self.y.shape}")
        half = (self.y.shape[0] // 2, self.y.shape[1] // 2)
        for name, plane, shape in (
            ("y", self.y, self.y.shape),
            ("u", self.u, half),
            ("v", self.v, half),
        ):
            if plane.shape != shape:
                raise FrameError(f"plane {name} must be {shape}, got {plane.shape}")
            if plane.dtype != np.uint8:
                raise FrameError(f"plane {name} must be uint8, got {plane.dtype}")
            if not plane.flags.c_contiguous:
                raise FrameError(f"plane {name} must be C-contiguous")

    @property
    def size(self) -> Size:
        """Luma size."""
        return Size(width=self.y.shape[1], height=self.y.shape[0])

    def at(self, pts: int) -> Frame:
        """The same picture at another presentation time."""
        return replace(self, pts=pts)
