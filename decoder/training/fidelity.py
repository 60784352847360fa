"""Visual information fidelity: what of the original's detail a restored picture still carries.

Sheikh and Bovik, "Image information and visual quality", IEEE TIP 2006, in the form that VMAF
computes from luma on four scales. A place is taken for the original times a gain, plus noise; what
counts is the information that is left. As in VMAF-NEG no gain above one counts, so sharpening
beyond the original wins nothing; what does win is contrast that squared error alone, which prefers
blur where it is unsure, leaves away.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

SCALES = 4

SMALLEST_SIDE = 64
"""Of a picture: smaller ones hold hardly a window on the coarsest scale."""

_NOISE = 2.0
"""Variance of the eye's own noise, in squared levels, as in VMAF."""

_TINY = 1e-10


def fidelity(restored: Tensor, original: Tensor) -> Tensor:
    """(B, SCALES), finest first, of luma (B, 1, H, W) in levels of 0 to 255.

    Sides are SMALLEST_SIDE at least.

    Ratios of 0 (nothing left) to 1. Where the original varies by less than the eye's noise there is
    nothing to lose, and what is restored counts as kept.
    """
    ratios = []
    x, y = original, restored
    for scale in range(SCALES):
        taps = (1 << (SCALES - scale)) + 1
        if scale:
            x, y = (_blurred(plane, taps)[..., ::2, ::2] for plane in (x, y))
        ratios.append(_ratio(x, y, taps))
    return torch.stack(ratios, dim=1)


def fidelity_loss(restored: Tensor, original: Tensor) -> Tensor:
    """1 minus fidelity, the mean over patches and scales; planes scaled to (sample - 128) / 128."""
    levels = ((plane.float() + 1) * 128 for plane in (restored, original))
    return 1 - fidelity(*levels).mean()


def _ratio(x: Tensor, y: Tensor, taps: int) -> Tensor:
    """(B,): information in `y` about `x` over that in `x` itself."""
    moments = _blurred(torch.cat((x, y, x * x, y * y, x * y)), taps)
    mean_x, mean_y, xx, yy, xy = moments.chunk(5)
    var_x = (xx - mean_x * mean_x).clamp_min(0)
    var_y = (yy - mean_y * mean_y).clamp_min(0)
    covariance = xy - mean_x * mean_y
    gain = (covariance / (var_x + _TINY)).clamp_min(0)
    noise = (var_y - gain * covariance).clamp_min(_TINY)
    gain = gain.clamp_max(1)
    is_flat = var_x < _NOISE
    kept = torch.log2(1 + gain * gain * var_x / (noise + _NOISE)).masked_fill(is_flat, 1.0)
    there = torch.log2(1 + var_x / _NOISE).masked_fill(is_flat, 1.0)
    return kept.sum(dim=(1, 2, 3)) / there.sum(dim=(1, 2, 3))


def _blurred(plane: Tensor, taps: int) -> Tensor:
    """By a Gaussian, as large as before: edges are mirrored."""
    window = _gaussian(taps).to(plane.device)
    reach = taps // 2
    padded = F.pad(plane, (reach, reach, reach, reach), mode="reflect")
    rows = F.conv2d(padded, window.reshape(1, 1, 1, taps))
    return F.conv2d(rows, window.reshape(1, 1, taps, 1))


@cache
def _gaussian(taps: int) -> Tensor:
    """(taps,), of sum 1; its standard deviation is a fifth of its width."""
    at = torch.arange(taps, dtype=torch.float32) - taps // 2
    window = torch.exp(-0.5 * (5 * at / taps) ** 2)
    return window / window.sum()
