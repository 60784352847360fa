"""The parts that every stage of EDVR is made of, and how they are initialised."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAKY_SLOPE = 0.1
"""Slope of every LeakyReLU in the published network."""

RESIDUAL_INIT_SCALE = 0.1
"""Residual branches start at a tenth of He's scale, so a deep stack starts near the identity
(Wang et al., "ESRGAN", 2018, section 3.1); without it 40 blocks do not train."""


class ResidualBlock(nn.Module):
    """`x + conv2(relu(conv1(x)))` without normalisation: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels)
        self.conv2 = conv3x3(channels, channels)
        for conv in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(conv.weight)
            with torch.no_grad():
                conv.weight.mul_(RESIDUAL_INIT_SCALE)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W), kept unchanged; returns the same shape."""
        branch: Tensor = self.conv2(F.relu(self.conv1(x), inplace=True))
        return x + branch


def residual_blocks(count: int, channels: int) -> nn.Sequential:
    """`count` residual blocks in a row, named `0`, `1`, … as in the published checkpoints."""
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))


def conv3x3(inputs: int, outputs: int, *, stride: int = 1) -> nn.Conv2d:
    """3x3 convolution that keeps the size, or halves it (rounding up) with stride 2."""
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)


def conv1x1(inputs: int, outputs: int) -> nn.Conv2d:
    """Pointwise convolution."""
    return nn.Conv2d(inputs, outputs, 1)


def leaky(x: Tensor) -> Tensor:
    """LeakyReLU written over `x`, which must be a fresh result that nothing else reads.

    In place, since autograd then keeps one tensor for a convolution and its activation, not two.
    """
    return F.leaky_relu(x, LEAKY_SLOPE, inplace=True)


def enlarge(x: Tensor, factor: int) -> Tensor:
    """Bilinear (B, C, H, W) -> (B, C, factor*H, factor*W), centres aligned, edges repeated."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
