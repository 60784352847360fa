"""PCD: pyramid, cascading and deformable alignment (section 3.2 of the EDVR paper).

Offsets are found from coarse to fine: each level refines what the coarser one found, so three
levels of 3x3 kernels follow motion that one alone could not reach. A last deformable convolution
(the cascade) refines the aligned features once more against the reference.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from decoder.edvr.blocks import conv3x3, enlarge, leaky
from decoder.edvr.deform_conv import DeformConvPack, deform_conv2d


class Pyramid(NamedTuple):
    """Features of one frame at three scales, float.

    l1: (B, C, H, W); l2: (B, C, H/2, W/2); l3: (B, C, H/4, W/4).
    """

    l1: Tensor
    l2: Tensor
    l3: Tensor


class WideDeformConvPack(DeformConvPack):
    """The same layer for wide groups: predicts one mask per group and repeats the mask itself.

    Its base repeats the weights that predict a mask for every channel of a group, which is fast
    for groups of few channels but would add 40 % to the MACs of EDVR-M, whose groups have eight.
    """

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """x: (B, C, H, W) to sample from; guide: (B, C, H, W) tells where. Returns (B, C, H, W)."""
        predicted = self.conv_offset(guide)
        offset_channels = 2 * self.groups * self.kernel**2
        offset, mask = predicted[:, :offset_channels], predicted[:, offset_channels:].sigmoid()
        return deform_conv2d(x, offset, mask, self.weight, self.bias, padding=self.kernel // 2)


class PcdAlignment(nn.Module):
    """Aligns the features of one frame to those of the reference.

    Parameter names are the published ones (`offset_conv1.l1`, `dcn_pack.l3`, `cas_dcnpack`, …).
    """

    def __init__(self, channels: int, deformable_groups: int) -> None:
        super().__init__()
        both = 2 * channels
        self.offset_conv1 = nn.ModuleDict({f"l{n}": conv3x3(both, channels) for n in (3, 2, 1)})
        self.offset_conv2 = nn.ModuleDict(
            {f"l{n}": conv3x3(channels if n == 3 else both, channels) for n in (3, 2, 1)}
        )
        self.offset_conv3 = nn.ModuleDict({f"l{n}": conv3x3(channels, channels) for n in (2, 1)})
        self.dcn_pack = nn.ModuleDict(
            {f"l{n}": WideDeformConvPack(channels, deformable_groups) for n in (3, 2, 1)}
        )
        self.feat_conv = nn.ModuleDict({f"l{n}": conv3x3(both, channels) for n in (2, 1)})
        self.cas_offset_conv1 = conv3x3(both, channels)
        self.cas_offset_conv2 = conv3x3(channels, channels)
        self.cas_dcnpack = WideDeformConvPack(channels, deformable_groups)

    def forward(self, neighbour: Pyramid, reference: Pyramid) -> Tensor:
        """Returns the neighbour's l1 features (B, C, H, W) moved onto the reference.

        The reference itself goes through the same path when it is its own neighbour. H and W
        must be multiples of 4, else the levels do not fit each other.
        """
        guide = self._first_guide("l3", neighbour.l3, reference.l3)
        guide = leaky(self.offset_conv2["l3"](guide))
        aligned = leaky(self.dcn_pack["l3"](neighbour.l3, guide))

        guide, aligned = self._refine("l2", neighbour.l2, reference.l2, guide, aligned)
        guide, aligned = self._refine("l1", neighbour.l1, reference.l1, guide, leaky(aligned))

        guide = leaky(self.cas_offset_conv1(torch.cat((aligned, reference.l1), dim=1)))
        guide = leaky(self.cas_offset_conv2(guide))
        return leaky(self.cas_dcnpack(aligned, guide))

    def _first_guide(self, level: str, neighbour: Tensor, reference: Tensor) -> Tensor:
        return leaky(self.offset_conv1[level](torch.cat((neighbour, reference), dim=1)))

    def _refine(
        self, level: str, neighbour: Tensor, reference: Tensor, guide: Tensor, aligned: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One finer level: the coarser level's guide and features, enlarged, join its own."""
        # A motion of one pixel on the coarser level is two pixels here, hence the factor.
        coarser = enlarge(guide, 2) * 2
        guide = self._first_guide(level, neighbour, reference)
        guide = leaky(self.offset_conv2[level](torch.cat((guide, coarser), dim=1)))
        guide = leaky(self.offset_conv3[level](guide))
        moved = self.dcn_pack[level](neighbour, guide)
        return guide, self.feat_conv[level](torch.cat((moved, enlarge(aligned, 2)), dim=1))
