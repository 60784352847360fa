"""The live family: EDVR's ideas on planar 4:2:0 at an eighth of the output grid.

Wang et al., "EDVR: Video Restoration with Enhanced Deformable Convolutional Networks", CVPRW 2019:
a feature pyramid per frame, deformable alignment of each neighbour to the reference from coarse
to fine (PCD), attention over time while fusing (TSA), residual reconstruction. What differs:

- The trunk runs where one cell covers 8x8 samples of the output (12x12 at x3): the planes are
  brought there by space-to-depth and leave by depth-to-space: luma and half-size chroma meet.
- Two pyramid levels, since that grid is already coarse.
- The frame's quantiser is an input: the network is told how much damage to expect. A network
  without it smooths well-coded input.
- The output is a residual on Lanczos upsampling (luma) and Catmull-Rom (chroma), both computed
  in the graph as one convolution, so an untrained network is exactly the classical upscaler.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decoder.edvr.deform_conv import DeformConvPack
from decoder.edvr.upsampling import upsampling_kernel
from stream.errors import ConfigError

Planes = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveConfig:
    """Sizes of one live network.

    scale: output over input, 1 to 4; 1 cleans (deblurs) without enlarging.
    window: frames seen; lookahead: how many lie in the future.
    channels: width of the trunk. near_channels: width of what is aligned to the reference.
    coarse_kernel, fine_kernel: taps along one side of the deformable convolution at level 2 and 1.
    Raises ConfigError for impossible combinations.
    """

    scale: int
    window: int = 3
    lookahead: int = 1
    channels: int = 48
    near_channels: int = 24
    deformable_groups: int = 8
    extract_blocks: int = 1
    reconstruct_blocks: int = 2
    fine_kernel: int = 1
    coarse_kernel: int = 3

    def __post_init__(self) -> None:
        if self.scale not in (1, 2, 3, 4):
            raise ConfigError(f"scale must be 1, 2, 3 or 4, got {self.scale}")
        if not 0 <= self.lookahead < self.window:
            raise ConfigError(f"lookahead {self.lookahead} does not fit window {self.window}")
        if self.near_channels % self.deformable_groups:
            raise ConfigError(
                f"{self.deformable_groups} groups do not divide {self.near_channels} channels"
            )

    @property
    def lr_stride(self) -> int:
        """LR luma samples along one side of a trunk cell."""
        return {1: 8, 2: 4, 3: 4, 4: 2}[self.scale]

    @property
    def multiple_of(self) -> int:
        """LR width and height must be multiples of this (two pyramid levels)."""
        return 2 * self.lr_stride

    @property
    def lr_channels(self) -> int:
        """Channels of one LR frame after space-to-depth: y, then u, then v."""
        return self.lr_stride**2 + 2 * (self.lr_stride // 2) ** 2

    @property
    def hr_channels(self) -> int:
        """Channels of one HR frame before depth-to-space."""
        stride = self.lr_stride * self.scale
        return stride**2 + 2 * (stride // 2) ** 2

    @property
    def reference(self) -> int:
        """Index of the reference in the window, oldest first."""
        return self.window - 1 - self.lookahead


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
        self.near_l1 = nn.Conv2d(channels, config.near_channels, 1)
        self.near_l2 = nn.Conv2d(channels, config.near_channels, 1)
        # What offsets are predicted from, as the neighbour and as the reference: the first layer
        # over both, split, since each half depends on one frame only and need not be recomputed.
        self.guide_l1 = nn.Conv2d(config.near_channels, 2 * config.near_channels, 3, padding=1)
        self.guide_l2 = nn.Conv2d(config.near_channels, 2 * config.near_channels, 3, padding=1)

    def forward(self, y: Tensor, u: Tensor, v: Tensor, quantiser: Tensor) -> tuple[Tensor, ...]:
        """y (B, 1, H, W), u, v (B, 1, H/2, W/2): (sample - 128) / 128; quantiser (B,): QP/51 or -1.

        Returns what a reference needs, the LR cells with one replicated cell around (for the
        classical upscaler) and its features (B, C, h, w); then what frames are aligned by: slim
        features and guides as neighbour and as reference (B, A, h, w), and the same at level 2.
        """
        stride = self.config.lr_stride
        padded = [
            space_to_depth(F.pad(plane, (cell,) * 4, mode="replicate"), cell)
            for plane, cell in ((y, stride), (u, stride // 2), (v, stride // 2))
        ]
        cells = torch.cat(padded, dim=1)
        inner = cells[:, :, 1:-1, 1:-1]
        known = (quantiser >= 0).to(y.dtype)
        level = torch.stack((quantiser * known, known), dim=1)[:, :, None, None]
        told = level.expand(-1, -1, inner.shape[2], inner.shape[3])
        x = F.leaky_relu(self.conv_first(torch.cat((inner, told), dim=1)), 0.1)
        level1 = self.blocks(x)
        level2 = F.leaky_relu(self.conv_l2(level1), 0.1)
        near1, near2 = self.near_l1(level1), self.near_l2(level2)
        guide1, guide2 = self.guide_l1(near1).chunk(2, dim=1), self.guide_l2(near2).chunk(2, dim=1)
        return cells, level1, near1, *guide1, near2, *guide2


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
        """near: a neighbour's features at level 1 (B, A, h, w) and 2 (B, A, h/2, w/2); guide: its
        guide plus the reference's, at both. Returns the neighbour, aligned (B, A, h, w).
        """
        coarse = F.leaky_relu(self.offset_l2(F.leaky_relu(guide[1], 0.1)), 0.1)
        aligned2 = F.leaky_relu(self.dcn_l2(near[1], coarse), 0.1)
        # nearest, then a 3x3 convolution: the offsets of a cell start from its parent's
        up_coarse = F.interpolate(coarse, scale_factor=2.0, mode="nearest")
        fine = F.leaky_relu(guide[0] + self.offset_l1(up_coarse), 0.1)
        aligned1 = self.dcn_l1(near[0], fine)
        up2 = F.interpolate(aligned2, scale_factor=2.0, mode="nearest")
        return F.leaky_relu(self.merge(torch.cat((aligned1, up2), dim=1)), 0.1)


def _unchanged(cells: Tensor) -> Tensor:
    return cells


class LiveFuse(nn.Module):
    """What is computed once per output frame, from the window's features."""

    upsampling: Tensor

    def __init__(self, config: LiveConfig) -> None:
        super().__init__()
        self.config = config
        channels, near = config.channels, config.near_channels
        self.align = LiveAlign(config)
        self.fusion = nn.Conv2d(channels + (config.window - 1) * near, channels, 1)
        self.reconstruction = nn.Sequential(
            *(ResidualBlock(channels) for _ in range(config.reconstruct_blocks))
        )
        self.conv_last = nn.Conv2d(channels, config.hr_channels, 3, padding=1)
        nn.init.zeros_(self.conv_last.weight)
        nn.init.zeros_(self.conv_last.bias) if self.conv_last.bias is not None else None
        self.register_buffer("upsampling", classical_kernel(config), persistent=False)

    def forward(
        self,
        features: Sequence[Sequence[Tensor]],
        finish: Callable[[Tensor], Tensor] = _unchanged,
    ) -> Planes:
        """features: for each frame of the window what `LiveExtract` gave. HR planes, same range.

        finish: elementwise, applied before samples are rearranged, where rounding is cheapest.
        """
        cells, level1, wanted, _, guide1, _, _, guide2 = features[self.config.reference]
        parts = [level1]
        for index, frame in enumerate(features):
            if index != self.config.reference:
                _, _, near1, near_guide1, _, near2, near_guide2, _ = frame
                guides = near_guide1 + guide1, near_guide2 + guide2
                aligned = self.align((near1, near2), guides)
                # Temporal attention (EDVR's TSA, eq. 6): what does not match the reference counts
                # less.
                likeness = (aligned * wanted).sum(dim=1, keepdim=True)
                parts.append(aligned * torch.sigmoid(likeness))
        fused = F.leaky_relu(self.fusion(torch.cat(parts, dim=1)), 0.1)
        return self._restore(self.reconstruction(fused), cells, finish)

    def _restore(
        self, features: Tensor, cells: Tensor, finish: Callable[[Tensor], Tensor]
    ) -> Planes:
        """The last convolution and the classical upscaler as one, plane by plane."""
        weight = torch.cat((self.conv_last.weight, self.upsampling), dim=1)
        seen = torch.cat((F.pad(features, (1, 1, 1, 1)), cells), dim=1)
        stride = self.config.lr_stride * self.config.scale
        parts = [stride**2, (stride // 2) ** 2, (stride // 2) ** 2]
        assert self.conv_last.bias is not None
        y, u, v = (
            finish(F.conv2d(seen, rows, bias))
            for rows, bias in zip(
                torch.split(weight, parts),
                torch.split(self.conv_last.bias, parts),
                strict=True,
            )
        )
        half = stride // 2
        return depth_to_space(y, stride), depth_to_space(u, half), depth_to_space(v, half)


def classical_kernel(config: LiveConfig) -> Tensor:
    """Lanczos for luma, Catmull-Rom for chroma: hr_channels x lr_channels x 3 x 3, block-diagonal.

    Three lobes where they fit into the neighbourhood of one cell, else two.
    """
    stride, half = config.lr_stride, config.lr_stride // 2
    luma = upsampling_kernel(stride, config.scale, lobes=3 if stride >= 3 else 2)
    chroma = upsampling_kernel(half, config.scale, lobes=0)
    kernel = torch.zeros(config.hr_channels, config.lr_channels, 3, 3)
    row = column = 0
    for block in (luma, chroma, chroma):
        kernel[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return kernel


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
