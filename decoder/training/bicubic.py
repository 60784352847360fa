"""Bicubic resizing: what the field compares with, and makes its uncoded LR by."""

from __future__ import annotations

from av.video.reformatter import Interpolation

from decoder.lanczos import LanczosScaler


class BicubicScaler(LanczosScaler):
    """The same by swscale's bicubic kernel, which is stretched when it shrinks."""

    _kernel = Interpolation.BICUBIC
