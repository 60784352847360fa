"""TSA: temporal and spatial attention fusion (section 3.3 of the EDVR paper)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decoder.edvr.blocks import conv1x1, conv3x3, enlarge, leaky


class TsaFusion(nn.Module):
    """Merges the aligned features of a window into one, trusting each where it fits.

    Temporal attention weighs each frame per pixel by how similar it is to the reference, so that
    badly aligned or occluded places count less; spatial attention then scales and shifts the
    fused features, seen over two coarser scales. Parameter names are the published ones.
    """

    def __init__(self, channels: int, frames: int, reference_index: int) -> None:
        super().__init__()
        self.reference_index = reference_index
        self.temporal_attn1 = conv3x3(channels, channels)
        self.temporal_attn2 = conv3x3(channels, channels)
        self.feat_fusion = conv1x1(frames * channels, channels)
        self.spatial_attn1 = conv1x1(frames * channels, channels)
        self.spatial_attn2 = conv1x1(2 * channels, channels)
        self.spatial_attn3 = conv3x3(channels, channels)
        self.spatial_attn4 = conv1x1(channels, channels)
        self.spatial_attn5 = conv3x3(channels, channels)
        self.spatial_attn_l1 = conv1x1(channels, channels)
        self.spatial_attn_l2 = conv3x3(2 * channels, channels)
        self.spatial_attn_l3 = conv3x3(channels, channels)
        self.spatial_attn_add1 = conv1x1(channels, channels)
        self.spatial_attn_add2 = conv1x1(channels, channels)

    def forward(self, aligned: Sequence[Tensor]) -> Tensor:
        """aligned: one (B, C, H, W) per frame of the window, oldest first. Returns (B, C, H, W)."""
        weighted = torch.cat(self._weigh_frames(aligned), dim=1)
        fused = leaky(self.feat_fusion(weighted))
        attention = self._spatial_attention(weighted)
        shift: Tensor = self.spatial_attn_add2(leaky(self.spatial_attn_add1(attention)))
        # Twice the sigmoid: an untrained attention of zero then scales by one.
        return fused * torch.sigmoid(attention) * 2 + shift

    def _weigh_frames(self, aligned: Sequence[Tensor]) -> list[Tensor]:
        reference = self.temporal_attn1(aligned[self.reference_index])
        return [
            frame * torch.sigmoid((self.temporal_attn2(frame) * reference).sum(dim=1, keepdim=True))
            for frame in aligned
        ]

    def _spatial_attention(self, weighted: Tensor) -> Tensor:
        """(B, frames*C, H, W) -> attention before its sigmoid, (B, C, H, W)."""
        half = leaky(self.spatial_attn2(_shrink(leaky(self.spatial_attn1(weighted)))))
        quarter = leaky(self.spatial_attn_l2(_shrink(leaky(self.spatial_attn_l1(half)))))
        quarter = leaky(self.spatial_attn_l3(quarter))
        half = leaky(self.spatial_attn3(half)) + enlarge(quarter, 2)
        attention: Tensor = self.spatial_attn5(enlarge(leaky(self.spatial_attn4(half)), 2))
        return attention


def _shrink(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 2*C, H/2, W/2): what is strongest nearby beside what is usual there."""
    strongest = F.max_pool2d(x, 3, stride=2, padding=1)
    usual = F.avg_pool2d(x, 3, stride=2, padding=1)
    return torch.cat((strongest, usual), dim=1)
