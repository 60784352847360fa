"""What a network costs: parameters, and multiply-accumulates (MACs) by part.

Counted are the convolutions, as in the published figures; activations, resizing, the attention's
products and the sampling of deformable convolutions are not (together below 2 %).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from decoder.edvr.deform_conv import DeformConvPack
from decoder.edvr.network import Edvr, EdvrConfig

_PARTS = {"pcd_align": "alignment", "fusion": "fusion", "reconstruction": "reconstruction"}
_PARTS |= dict.fromkeys(("upconv1", "upconv2", "conv_hr", "conv_last"), "tail")
_EXTRACTION = "extraction"


@dataclass(frozen=True, slots=True, kw_only=True)
class EdvrCost:
    """Parameters of a network, and MACs of one output frame by part of the network.

    extraction_macs is for one input frame; all others are for a whole window.
    """

    parameters: int
    num_frame: int
    extraction_macs: int
    alignment_macs: int
    fusion_macs: int
    reconstruction_macs: int
    tail_macs: int

    @property
    def fuse_macs(self) -> int:
        """What every window costs after extraction."""
        return self.alignment_macs + self.fusion_macs + self.reconstruction_macs + self.tail_macs

    @property
    def window_macs(self) -> int:
        """One output frame by the plain network, which extracts every frame of its window."""
        return self.num_frame * self.extraction_macs + self.fuse_macs

    @property
    def streaming_macs(self) -> int:
        """One output frame of a stream, whose frames are extracted once."""
        return self.extraction_macs + self.fuse_macs


def count_cost(config: EdvrConfig, *, width: int, height: int) -> EdvrCost:
    """Cost for an input of this size, both multiples of `config.multiple_of`.

    Runs the real network without data or memory (torch's meta device) and counts what its
    convolutions see. Raises FrameError for a size that does not fit.
    """
    macs = dict.fromkeys((_EXTRACTION, *_PARTS.values()), 0)
    with torch.device("meta"):
        network = Edvr(config)
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d | DeformConvPack):
                part = _PARTS.get(name.split(".")[0], _EXTRACTION)
                module.register_forward_hook(_counter(macs, part))
        network(torch.empty(1, config.num_frame, config.num_in_ch, height, width))
    return EdvrCost(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        num_frame=config.num_frame,
        extraction_macs=macs[_EXTRACTION] // config.num_frame,
        alignment_macs=macs["alignment"],
        fusion_macs=macs["fusion"],
        reconstruction_macs=macs["reconstruction"],
        tail_macs=macs["tail"],
    )


def _counter(macs: dict[str, int], part: str) -> Callable[[nn.Module, object, Tensor], None]:
    def count(module: nn.Module, _inputs: object, output: Tensor) -> None:
        weight = module.weight
        if isinstance(weight, Tensor):
            macs[part] += output.shape[-2] * output.shape[-1] * weight.numel()

    return count
