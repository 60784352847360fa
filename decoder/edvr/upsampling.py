"""Classical upscaling as one dense convolution: Lanczos for luma, Catmull-Rom for chroma.

On a grid where one cell holds stride x stride samples, upscaling by a whole factor is the same
small matrix everywhere, so it costs one small convolution and needs no operator of its own.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def lanczos_tap(distance: float, lobes: int) -> float:
    """Lanczos window of `lobes` lobes at `distance` samples (Duchon, 1979)."""
    if abs(distance) >= lobes:
        return 0.0
    if abs(distance) < 1e-9:
        return 1.0
    angle = math.pi * distance
    return lobes * math.sin(angle) * math.sin(angle / lobes) / angle**2


def cubic_tap(distance: float) -> float:
    """Catmull-Rom cubic (Keys, 1981, a = -1/2)."""
    x = abs(distance)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    if x < 2:
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return 0.0


def upsampling_kernel(stride: int, scale: int, *, lobes: int, reach: int) -> Tensor:
    """A convolution over cells, `reach` of them to each side, that upsamples by `scale`.

    Weight (stride*scale)**2 x stride**2 x (2*reach+1) x (2*reach+1), for planes brought to cells
    of `stride` samples. lobes 3 or 2 give Lanczos, 0 gives Catmull-Rom; each output sample's taps
    sum to one.
    """
    side = 2 * reach + 1
    taps = torch.zeros(stride * scale, side * stride)
    for out in range(stride * scale):
        centre = (out + 0.5) / scale - 0.5 + reach * stride
        for index in range(side * stride):
            distance = index - centre
            taps[out, index] = lanczos_tap(distance, lobes) if lobes else cubic_tap(distance)
        taps[out] /= taps[out].sum()
    # rows: (out_y, in cell_y, in y), columns likewise -> (out_y out_x, y x, cell_y cell_x)
    axis = taps.reshape(stride * scale, side, stride)
    kernel = torch.einsum("acy,bdx->abyxcd", axis, axis)
    return kernel.reshape((stride * scale) ** 2, stride**2, side, side)
