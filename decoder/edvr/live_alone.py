"""A live network that looks at each frame alone: the same weights, and no neighbours to align.

It is `LiveEdvr.alone` in two halves, for machines that have no time for more: `extract` only lays
the planes out in cells, and `fuse` runs the trunk at once, so that its features, a megabyte for
each channel at 1080p, need not travel from one graph to another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decoder.edvr.live import LiveEdvr, LiveExtract, Planes, depth_to_space, space_to_depth

_TOLD = 2
"""Channels that say the quantiser, and whether it is known."""


class AloneExtract(nn.Module):
    """Lays out planes in cells."""

    def __init__(self, network: LiveEdvr) -> None:
        super().__init__()
        self.config = network.config

    def forward(self, y: Tensor, u: Tensor, v: Tensor, quantiser: Tensor) -> tuple[Tensor]:
        """Planes and quantiser as `LiveExtract` takes them.

        Returns the LR cells with `reach` replicated ones around, and `_TOLD` channels of the same
        size (B, lr_channels + 2, h + 2 * reach, w + 2 * reach).
        """
        stride, reach = self.config.lr_stride, self.config.reach
        cells = torch.cat(
            [
                space_to_depth(F.pad(plane, (reach * cell,) * 4, mode="replicate"), cell)
                for plane, cell in ((y, stride), (u, stride // 2), (v, stride // 2))
            ],
            dim=1,
        )
        known = (quantiser >= 0).to(y.dtype)
        level = torch.stack((quantiser * known, known), dim=1)[:, :, None, None]
        told = level.expand(-1, -1, cells.shape[2], cells.shape[3])
        return (torch.cat((cells, told), dim=1),)


class AloneFuse(nn.Module):
    """All that is computed."""

    upsampling: Tensor

    def __init__(self, network: LiveEdvr) -> None:
        super().__init__()
        self.config = network.config
        self.extract: LiveExtract = network.extract
        self.fuse = network.fuse
        chroma = network.fuse.chroma_upsampling
        both = torch.zeros(2 * chroma.shape[0], 2 * chroma.shape[1], *chroma.shape[2:])
        both[: chroma.shape[0], : chroma.shape[1]] = chroma
        both[chroma.shape[0] :, chroma.shape[1] :] = chroma
        self.register_buffer("upsampling", both, persistent=False)

    def forward(
        self,
        features: Sequence[Sequence[Tensor]],
        finish: Callable[[Tensor], Tensor] = lambda samples: samples,
    ) -> Planes:
        """features: of one frame what `AloneExtract` gave. HR planes; finish as in `LiveFuse`."""
        reach, fuse = self.config.reach, self.fuse
        told = features[0][0]
        cells = told[:, :-_TOLD]
        inner = told[:, :, reach:-reach, reach:-reach]
        level1 = self.extract.blocks(F.leaky_relu(self.extract.conv_first(inner), 0.1))
        weight = fuse.fusion.weight[:, : level1.shape[1]]
        fused = F.leaky_relu(F.conv2d(level1, weight, fuse.fusion.bias), 0.1)
        restored = fuse.reconstruction(fused)
        # Both chroma planes at once: a vector of a processor holds as many samples as both have.
        luma, both = (
            finish(F.conv2d(restored, rows, bias, padding=1) + F.conv2d(lr, upsampling))
            for rows, bias, lr, upsampling in zip(
                self._split(fuse.conv_last.weight),
                self._split(fuse.conv_last.bias),
                torch.split(cells, self._sizes(self.config.lr_parts), dim=1),
                (fuse.luma_upsampling, self.upsampling),
                strict=True,
            )
        )
        u, v = both.chunk(2, dim=1)
        stride = self.config.lr_stride * self.config.scale
        return (
            depth_to_space(luma, stride),
            depth_to_space(u, stride // 2),
            depth_to_space(v, stride // 2),
        )

    def _split(self, rows: Tensor | None) -> tuple[Tensor, ...]:
        assert rows is not None
        return torch.split(rows, self._sizes(self.config.hr_parts))

    @staticmethod
    def _sizes(parts: tuple[int, int, int]) -> list[int]:
        """Channels of luma, and of both chroma planes."""
        return [parts[0], parts[1] + parts[2]]


class LiveAlone(nn.Module):
    """The whole, as the exporter takes it; shares the weights of `network`."""

    def __init__(self, network: LiveEdvr) -> None:
        super().__init__()
        self.config = network.config
        self.extract = AloneExtract(network)
        self.fuse = AloneFuse(network)

    def forward(self, y: Tensor, u: Tensor, v: Tensor, quantiser: Tensor) -> Planes:
        """One frame: planes (B, 1, H, W), quantiser (B,) -> HR planes, as `LiveEdvr.alone`."""
        planes: Planes = self.fuse([self.extract(y, u, v, quantiser)])
        return planes
