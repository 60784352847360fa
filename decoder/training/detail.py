"""Detail that a restored picture has lost, as VMAF-NEG sees it.

Li et al., "Image quality assessment by separately evaluating detail losses and additive
impairments", IEEE TMM 2011 (the detail loss measure), in the form that VMAF computes from luma: on
four levels of wavelets, what is restored is split into a share of the original's detail, of 0 to 1,
and into what was added, which masks it. As in VMAF-NEG more contrast than the original's counts
nothing, so sharpening beyond it wins nothing; what does win is contrast that squared error, which
prefers blur where it is unsure, leaves away.
"""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 4

SMALLEST_SIDE = 64
"""Of a picture: smaller ones hold hardly a coefficient on the coarsest level."""

_TAPS = (0.482962913144690, 0.836516303737469, 0.224143868041857, -0.129409522550921)
"""Of Daubechies' wavelet of two vanishing moments, low-pass."""

_EXPONENT = 3
_TINY = 1e-6

# How well the eye sees a wavelet's coefficients, at three picture heights of 1080 lines (Watson et
# al., "Visibility of wavelet quantization noise", IEEE TIP 1997, table II, and its amplitudes).
_LINES_A_DEGREE = 3.0 * 1080 * math.pi / 180
_THRESHOLD, _WIDTH, _PEAK = 0.495, 0.466, 0.401
_ORIENTATION = (1.0, 1.0, 0.534)  # horizontal, vertical, diagonal
_AMPLITUDES = ((0.67234, 0.72709), (0.41317, 0.49428), (0.22727, 0.28688), (0.11792, 0.15214))


def detail_kept(restored: Tensor, original: Tensor) -> Tensor:
    """(B,): of 0 (none) to 1 (all), of luma (B, 1, H, W) in levels of 0 to 255.

    Sides are SMALLEST_SIDE at least.
    """
    kept: list[Tensor] = []
    there: list[Tensor] = []
    low = torch.cat((original, restored))
    for level in range(LEVELS):
        low, bands = _wavelets(low)
        seen = bands * _visibility(level).to(bands.device)
        wanted, found = seen.chunk(2)
        sign = torch.where(wanted < 0, -1.0, 1.0)
        size = wanted.abs()
        share = (found * sign / (size + _TINY)).clamp(0, 1) * size
        added = (found - share * sign).abs()
        visible = F.relu(share - _masking(added))
        # A band's samples are pooled as the eye does: the strongest count most.
        area = visible.shape[-2] * visible.shape[-1]
        floor = (area / 32) ** (1 / _EXPONENT)
        kept.append((_pooled(visible) + floor).sum(dim=1))
        there.append((_pooled(size) + floor).sum(dim=1))
    return torch.stack(kept).sum(dim=0) / torch.stack(there).sum(dim=0)


def detail_loss(restored: Tensor, original: Tensor) -> Tensor:
    """1 minus the detail kept, the mean over patches; planes scaled to (sample - 128) / 128."""
    levels = ((plane.float() + 1) * 128 for plane in (restored, original))
    return 1 - detail_kept(*levels).mean()


def _wavelets(plane: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 1, h, w) -> the low band (B, 1, h/2, w/2), and the three others (B, 3, h/2, w/2)."""
    padded = F.pad(plane, (1, 2, 1, 2), mode="reflect")
    bands = F.conv2d(padded, _kernels().to(plane.device), stride=2)
    return bands[:, :1], bands[:, 1:]


def _masking(added: Tensor) -> Tensor:
    """(B, 1, h, w): what was added, in all bands around a place, hides detail there."""
    around = added.sum(dim=1, keepdim=True)
    return (9 * F.avg_pool2d(around, 3, stride=1, padding=1) + around) / 30


def _pooled(band: Tensor) -> Tensor:
    """(B, 3, h, w) -> (B, 3)."""
    return (band**_EXPONENT).sum(dim=(2, 3)).clamp_min(_TINY) ** (1 / _EXPONENT)


@cache
def _kernels() -> Tensor:
    """(4, 1, 4, 4): low, horizontal, vertical, diagonal."""
    low = torch.tensor(_TAPS)
    high = torch.tensor([sign * tap for sign, tap in zip((1, -1, 1, -1), _TAPS[::-1], strict=True)])
    pairs = ((low, low), (high, low), (low, high), (high, high))
    return torch.stack([torch.outer(rows, columns) for rows, columns in pairs])[:, None]


@cache
def _visibility(level: int) -> Tensor:
    """(1, 3, 1, 1)."""
    seen = []
    for index, orientation in enumerate(_ORIENTATION):
        frequency = _LINES_A_DEGREE / 2 ** (level + 1)
        octaves = math.log10(_PEAK * orientation / frequency)
        threshold = 2 * _THRESHOLD * 10 ** (_WIDTH * octaves**2)
        seen.append(_AMPLITUDES[level][index == 2] / threshold)
    return torch.tensor(seen).reshape(1, 3, 1, 1)
