"""A second task for training only: each aligned neighbour must show the reference frame.

Left to the restoration loss alone, a small network never learns to align: at first a neighbour
that is sampled in the wrong place is worth nothing, so its weights fade before its offsets have
moved. Asked to predict the reference's LR samples from the aligned features of *one neighbour*,
the offsets get a gradient from the first step on.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from decoder.edvr.live import LiveEdvr, Planes, space_to_depth
from decoder.training.losses import log_error


class AlignmentTask(nn.Module):
    """Watches the alignment of a network and asks one 1x1 convolution for the reference."""

    def __init__(self, network: LiveEdvr) -> None:
        super().__init__()
        config = network.config
        self._stride, self._reference = config.align_stride, config.reference
        samples = config.lr_channels * config.align_level**2
        self.head = nn.Conv2d(config.near_channels, samples, 1)
        self._aligned: list[Tensor] = []
        network.fuse.align.register_forward_hook(self._watch)

    def _watch(self, _: nn.Module, __: object, aligned: Tensor) -> None:
        if torch.is_grad_enabled():
            self._aligned.append(aligned)

    def loss(self, lr: Planes) -> Tensor:
        """Of what the network's last call has aligned; lr: its input, planes (B, N, H, W)."""
        aligned, self._aligned = self._aligned, []
        at, stride = self._reference, self._stride
        cells = [
            space_to_depth(plane[:, at : at + 1], cell)
            for plane, cell in zip(lr, (stride, stride // 2, stride // 2), strict=True)
        ]
        target = torch.cat(cells, dim=1)
        if not aligned:
            return target.new_zeros(())
        target = target.repeat(len(aligned[0]) // len(target), 1, 1, 1)  # neighbours in one batch
        return torch.stack([log_error(self.head(each.float()), target) for each in aligned]).mean()
