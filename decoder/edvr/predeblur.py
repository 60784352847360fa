"""Predeblur: a small pyramid network that cleans blurred or compressed input before alignment.

Alignment compares frames; blur that differs from frame to frame misleads it (section 3.1 of the
EDVR paper). Full-size input is first brought to a quarter of its grid, where all features live.
"""

from __future__ import annotations

from torch import Tensor, nn

from decoder.edvr.blocks import ResidualBlock, conv3x3, enlarge, leaky, residual_blocks

_BLOCKS_BEFORE_MERGE = 2
_BLOCKS_AT_L1 = 5


class Predeblur(nn.Module):
    """Frame in, cleaned features out. Parameter names are the published ones."""

    def __init__(self, num_in_ch: int, channels: int, *, hr_in: bool) -> None:
        super().__init__()
        self.hr_in = hr_in
        self.conv_first = conv3x3(num_in_ch, channels)
        if hr_in:
            self.stride_conv_hr1 = conv3x3(channels, channels, stride=2)
            self.stride_conv_hr2 = conv3x3(channels, channels, stride=2)
        self.stride_conv_l2 = conv3x3(channels, channels, stride=2)
        self.stride_conv_l3 = conv3x3(channels, channels, stride=2)
        self.resblock_l3 = ResidualBlock(channels)
        self.resblock_l2_1 = ResidualBlock(channels)
        self.resblock_l2_2 = ResidualBlock(channels)
        self.resblock_l1 = residual_blocks(_BLOCKS_AT_L1, channels)

    def forward(self, frame: Tensor) -> Tensor:
        """frame: (B, num_in_ch, H, W) -> (B, C, H, W), or (B, C, H/4, W/4) with `hr_in`."""
        l1: Tensor = leaky(self.conv_first(frame))
        if self.hr_in:
            l1 = leaky(self.stride_conv_hr1(l1))
            l1 = leaky(self.stride_conv_hr2(l1))
        l2 = leaky(self.stride_conv_l2(l1))
        l3 = leaky(self.stride_conv_l3(l2))
        l2 = self.resblock_l2_1(l2) + enlarge(self.resblock_l3(l3), 2)
        l2 = enlarge(self.resblock_l2_2(l2), 2)
        for index, block in enumerate(self.resblock_l1):
            if index == _BLOCKS_BEFORE_MERGE:
                l1 = l1 + l2
            l1 = block(l1)
        return l1
