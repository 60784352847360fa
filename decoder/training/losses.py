"""What training makes small."""

from __future__ import annotations

from typing import Literal, assert_never

import torch
from torch import Tensor

Planes = tuple[Tensor, Tensor, Tensor]
LossName = Literal["charbonnier", "psnr"]

CHARBONNIER_EPSILON = 1e-2
"""In units of half the sample range: about one level; where the loss turns linear."""

ERROR_FLOOR = (1 / 128) ** 2
"""One level, squared, in the same units: flat patches are good enough there."""


def charbonnier(output: Tensor, target: Tensor) -> Tensor:
    """Mean of sqrt(difference**2 + epsilon**2) (Lai et al., CVPR 2017)."""
    return torch.sqrt((output - target) ** 2 + CHARBONNIER_EPSILON**2).mean()


def log_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean over patches (B, ...) of ln(mean squared error): PSNR itself.

    A tenth of a dB counts the same in a well-coded patch as in a bad one. Losses on absolute
    differences let the worst patches rule, and the network smooths what needs no smoothing.
    """
    error = ((output - target) ** 2).mean(dim=(1, 2, 3))
    return torch.log(error + ERROR_FLOOR).mean()


def planes_loss(output: Planes, target: Planes, *, chroma: float, name: LossName) -> Tensor:
    """The loss of luma plus `chroma` times that of both chroma planes; planes (B, 1, H, W)."""
    match name:
        case "charbonnier":
            of_plane = charbonnier
        case "psnr":
            of_plane = log_error
        case _:
            assert_never(name)
    y, u, v = (of_plane(o.float(), t) for o, t in zip(output, target, strict=True))
    return y + chroma * (u + v)
