"""The live family: EDVR's ideas on planar 4:2:0, on a grid of a few samples a cell.

Wang et al., "EDVR: Video Restoration with Enhanced Deformable Convolutional Networks", CVPRW 2019:
a feature pyramid per frame, deformable alignment of each neighbour to the reference from coarse
to fine (PCD), attention over time while fusing (TSA), residual reconstruction. What differs:

- The trunk runs where one cell covers 2x2 luma samples of the LR (4x4 at x1): the planes are
  brought there by space-to-depth and leave by depth-to-space: luma and half-size chroma meet.
  Coarser cells leave a narrow trunk too few activations for each sample to tell edges apart.
- Frames are aligned on two pyramid levels, since that grid is already coarse; where the trunk is
  fine and the budget small, they start one level below it (`align_level`).
- The frame's quantiser is an input: the network is told how much damage to expect. A network
  without it smooths well-coded input.
- The output is a residual on Lanczos upsampling (luma) and Catmull-Rom (chroma), both computed
  in the graph as one convolution, so an untrained network is exactly the classical upscaler.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decoder.edvr.deform_conv import DeformConvPack
from decoder.edvr.live_config import LiveConfig
from decoder.edvr.upsampling import upsampling_kernel

Planes = tuple[Tensor, Tensor, Tensor]

TRUNK_PARTS = (
    "extract.conv_first.",
    "extract.blocks.",
    "fuse.fusion.",
    "fuse.reconstruction.",
    "fuse.conv_last.",
)
"""Beginnings of the names of all weights that `LiveEdvr.alone` runs through."""


def space_to_depth(plane: Tensor, stride: int) -> Tensor:
    """(B, 1, H, W) -> (B, stride**2, H/stride, W/stride)."""
    return F.pixel_unshuffle(plane, stride) if stride > 1 else plane


def depth_to_space(cells: Tensor, stride: int) -> Tensor:
    """(B, stride**2, h, w) -> (B, 1, h*stride, w*stride), for any type of sample."""
    batch, _, height, width = cells.shape
    split = cells.reshape(batch, stride, stride, height, width).permute(0, 3, 1, 4, 2)
    return split.reshape(batch, 1, height * stride, width * stride)


class ResidualBlock(nn.Module):
    """conv, ReLU, conv, and the input added; as EDVR's, initialised small."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        for conv in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(conv.weight)
            conv.weight.data.mul_(0.1)
            nn.init.zeros_(conv.bias) if conv.bias is not None else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        out: Tensor = x + self.conv2(F.relu(self.conv1(x)))
        return out


class LiveExtract(nn.Module):
    """What is computed once per LR frame."""

    def __init__(self, config: LiveConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        # + 2: the quantiser, and whether it is known
        self.conv_first = nn.Conv2d(config.lr_channels + 2, channels, 3, padding=1)
        self.blocks = nn.Sequential(
            *(ResidualBlock(channels) for _ in range(config.extract_blocks))
        )
        self.conv_l2 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        if config.align_level == 2:
            self.conv_l3 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        # From here on, l1 and l2 are the finer and the coarser level of alignment.
        self.near_l1 = nn.Conv2d(channels, config.near_channels, 1)
        self.near_l2 = nn.Conv2d(channels, config.near_channels, 1)
        # What offsets are predicted from, as the neighbour and as the reference: the first layer
        # over both, split, since each half depends on one frame only and need not be recomputed.
        self.guide_l1 = nn.Conv2d(config.near_channels, 2 * config.near_channels, 3, padding=1)
        self.guide_l2 = nn.Conv2d(config.near_channels, 2 * config.near_channels, 3, padding=1)

    def forward(self, y: Tensor, u: Tensor, v: Tensor, quantiser: Tensor) -> tuple[Tensor, ...]:
        """Planes and quantiser as `trunk` takes them.

        Returns what `trunk` does; then what frames are aligned by: slim features and guides as
        neighbour and as reference on the finer level of alignment (B, A, h / align_level,
        w / align_level), and the same on the coarser.
        """
        cells, level1 = self.trunk(y, u, v, quantiser)
        fine, coarse = level1, F.leaky_relu(self.conv_l2(level1), 0.1)
        if self.config.align_level == 2:
            fine, coarse = coarse, F.leaky_relu(self.conv_l3(coarse), 0.1)
        near1, near2 = self.near_l1(fine), self.near_l2(coarse)
        guide1, guide2 = self.guide_l1(near1).chunk(2, dim=1), self.guide_l2(near2).chunk(2, dim=1)
        return cells, level1, near1, *guide1, near2, *guide2

    def trunk(self, y: Tensor, u: Tensor, v: Tensor, quantiser: Tensor) -> tuple[Tensor, Tensor]:
        """y (B, 1, H, W), u, v (B, 1, H/2, W/2): (sample - 128) / 128; quantiser (B,): QP/51 or -1.

        Returns what a reference needs: the LR cells with replicated ones around, for the classical
        upscaler, and its features (B, C, h, w).
        """
        stride, reach = self.config.lr_stride, self.config.reach
        padded = [
            space_to_depth(F.pad(plane, (reach * cell,) * 4, mode="replicate"), cell)
            for plane, cell in ((y, stride), (u, stride // 2), (v, stride // 2))
        ]
        cells = torch.cat(padded, dim=1)
        inner = cells[:, :, reach:-reach, reach:-reach]
        known = (quantiser >= 0).to(y.dtype)
        level = torch.stack((quantiser * known, known), dim=1)[:, :, None, None]
        told = level.expand(-1, -1, inner.shape[2], inner.shape[3])
        x = F.leaky_relu(self.conv_first(torch.cat((inner, told), dim=1)), 0.1)
        return cells, self.blocks(x)


class LiveAlign(nn.Module):
    """Pyramid alignment of neighbours to the reference: offsets from coarse to fine."""

    def __init__(self, config: LiveConfig) -> None:
        super().__init__()
        near, groups = config.near_channels, config.deformable_groups
        self.offset_l2 = nn.Conv2d(near, near, 3, padding=1)
        self.offset_l1 = nn.Conv2d(near, near, 3, padding=1)
        self.dcn_l2 = DeformConvPack(near, groups, kernel=config.coarse_kernel)
        self.dcn_l1 = DeformConvPack(near, groups, kernel=config.fine_kernel)
        self.merge = nn.Conv2d(2 * near, near, 1)

    def forward(self, near: tuple[Tensor, Tensor], guide: tuple[Tensor, Tensor]) -> Tensor:
        """near: a neighbour's features on the finer (B, A, h, w) and on the coarser level (B, A,
        h/2, w/2); guide: its guide plus the reference's, on both. Returns the neighbour, aligned
        (B, A, h, w).
        """
        coarse = F.leaky_relu(self.offset_l2(F.leaky_relu(guide[1], 0.1)), 0.1)
        aligned2 = F.leaky_relu(self.dcn_l2(near[1], coarse), 0.1)
        # nearest, then a 3x3 convolution: the offsets of a cell start from its parent's
        up_coarse = F.interpolate(coarse, scale_factor=2.0, mode="nearest")
        fine = F.leaky_relu(guide[0] + self.offset_l1(up_coarse), 0.1)
        aligned1 = self.dcn_l1(near[0], fine)
        up2 = F.interpolate(aligned2, scale_factor=2.0, mode="nearest")
        return F.leaky_relu(self.merge(torch.cat((aligned1, up2), dim=1)), 0.1)


def _repeat(tensor: Tensor, count: int) -> Tensor:
    return torch.cat([tensor] * count)


def _unchanged(cells: Tensor) -> Tensor:
    return cells


class LiveFuse(nn.Module):
    """What is computed once per output frame, from the window's features."""

    luma_upsampling: Tensor
    chroma_upsampling: Tensor

    def __init__(self, config: LiveConfig) -> None:
        super().__init__()
        self.config = config
        channels, near = config.channels, config.near_channels
        self.align = LiveAlign(config)
        aligned = (config.window - 1) * near
        if config.align_level == 2:
            # Back on the trunk's grid by depth-to-space, as sharp as a coarser cell can know it.
            self.lift = nn.Conv2d(aligned, 4 * near, 1) if aligned else nn.Identity()
            aligned = min(aligned, near)
        self.fusion = nn.Conv2d(channels + aligned, channels, 1)
        # Neighbours count nothing at first: what is trained without them stays as good with them.
        nn.init.zeros_(self.fusion.weight[:, channels:])
        self.reconstruction = nn.Sequential(
            *(ResidualBlock(channels) for _ in range(config.reconstruct_blocks))
        )
        self.conv_last = nn.Conv2d(channels, config.hr_channels, 3, padding=1)
        nn.init.zeros_(self.conv_last.weight)
        nn.init.zeros_(self.conv_last.bias) if self.conv_last.bias is not None else None
        stride, reach = config.lr_stride, config.reach
        luma = upsampling_kernel(stride, config.scale, lobes=3, reach=reach)
        chroma = upsampling_kernel(stride // 2, config.scale, lobes=0, reach=reach)
        self.register_buffer("luma_upsampling", luma, persistent=False)
        self.register_buffer("chroma_upsampling", chroma, persistent=False)

    def forward(
        self,
        features: Sequence[Sequence[Tensor]],
        finish: Callable[[Tensor], Tensor] = _unchanged,
    ) -> Planes:
        """features: for each frame of the window what `LiveExtract` gave. HR planes, same range.

        finish: elementwise, applied before samples are rearranged, where rounding is cheapest.
        """
        cells, level1, wanted, _, guide1, _, _, guide2 = features[self.config.reference]
        others = [frame for at, frame in enumerate(features) if at != self.config.reference]
        parts = [level1]
        if others:
            # All in one batch: on a grid this small an operator's start costs as much as its work.
            near1, near_guide1, near2, near_guide2 = (
                torch.cat([frame[part] for frame in others]) for part in (2, 3, 5, 6)
            )
            count = len(others)
            guides = near_guide1 + _repeat(guide1, count), near_guide2 + _repeat(guide2, count)
            aligned = self.align((near1, near2), guides)
            # Temporal attention (EDVR's TSA, eq. 6): what does not match the reference counts less.
            likeness = (aligned * _repeat(wanted, count)).sum(dim=1, keepdim=True)
            parts += (aligned * torch.sigmoid(likeness)).chunk(count)
            if self.config.align_level == 2:
                parts = [level1, F.pixel_shuffle(self.lift(torch.cat(parts[1:], dim=1)), 2)]
        fused = F.leaky_relu(self.fusion(torch.cat(parts, dim=1)), 0.1)
        return self._restore(self.reconstruction(fused), cells, finish)

    def alone(self, cells: Tensor, level1: Tensor) -> Planes:
        """Of what `LiveExtract.trunk` gave for the reference, as if its neighbours were nothing."""
        weight = self.fusion.weight[:, : level1.shape[1]]
        fused = F.leaky_relu(F.conv2d(level1, weight, self.fusion.bias), 0.1)
        return self._restore(self.reconstruction(fused), cells, _unchanged)

    def _restore(
        self, features: Tensor, cells: Tensor, finish: Callable[[Tensor], Tensor]
    ) -> Planes:
        """The last convolution on top of the classical upscaler, plane by plane."""
        config = self.config
        stride = config.lr_stride * config.scale
        assert self.conv_last.bias is not None
        hr_parts, lr_parts = list(config.hr_parts), list(config.lr_parts)
        planes = zip(
            torch.split(self.conv_last.weight, hr_parts),
            torch.split(self.conv_last.bias, hr_parts),
            torch.split(cells, lr_parts, dim=1),
            (self.luma_upsampling, self.chroma_upsampling, self.chroma_upsampling),
            (stride, stride // 2, stride // 2),
            strict=True,
        )
        y, u, v = (
            depth_to_space(
                finish(F.conv2d(features, rows, bias, padding=1) + F.conv2d(lr, upsampling)), side
            )
            for rows, bias, lr, upsampling, side in planes
        )
        return y, u, v


class LiveEdvr(nn.Module):
    """The whole network: `extract` per frame, `fuse` per window; `forward` does both."""

    def __init__(self, config: LiveConfig) -> None:
        super().__init__()
        self.config = config
        self.extract = LiveExtract(config)
        self.fuse = LiveFuse(config)

    def forward(self, y: Tensor, u: Tensor, v: Tensor, quantiser: Tensor) -> Planes:
        """y (B, N, H, W), u, v (B, N, H/2, W/2), quantiser (B, N) -> HR planes (B, 1, sH, sW)."""
        batch, count = y.shape[:2]
        if self.training:  # all frames at once: faster, but a batch is rounded differently
            flat = self.extract(
                *(plane.reshape(-1, 1, *plane.shape[2:]) for plane in (y, u, v)),
                quantiser.reshape(-1),
            )
            split = [part.reshape(batch, count, *part.shape[1:]) for part in flat]
            features = [tuple(part[:, index] for part in split) for index in range(count)]
        else:  # one after the other, as in a stream, and so to the same bits
            frames = zip(*(plane.chunk(count, dim=1) for plane in (y, u, v)), strict=True)
            features = [
                self.extract(*frame, quantiser[:, index]) for index, frame in enumerate(frames)
            ]
        planes: Planes = self.fuse(features)
        return planes

    def alone(self, y: Tensor, u: Tensor, v: Tensor, quantiser: Tensor) -> Planes:
        """As `forward`, but from the reference only: several times faster, for training's start."""
        at = slice(self.config.reference, self.config.reference + 1)
        cells, level1 = self.extract.trunk(
            y[:, at], u[:, at], v[:, at], quantiser[:, self.config.reference]
        )
        return self.fuse.alone(cells, level1)
