"""The torch network of a published live model, rebuilt from its graphs alone.

Exported graphs keep the names and the values of the network's weights, and the sizes of a live
network can be read from their shapes; so a model can be trained further without its checkpoint.
"""

from __future__ import annotations

import onnx
import torch
from onnx import numpy_helper

from decoder.artefact import Artefact
from decoder.edvr.live import LiveEdvr
from decoder.edvr.live_config import LiveConfig
from stream.errors import ConfigError, ModelMismatch


def live_network(artefact: Artefact) -> LiveEdvr:
    """The network of `artefact`, in evaluation mode, with its weights to the bit.

    Raises ConfigError when the model is not of the live family, ModelMismatch when its graphs do
    not hold what its manifest says.
    """
    found = _weights(artefact)
    if "extract.near_l1.weight" not in found or "fuse.conv_last.weight" not in found:
        raise ConfigError(
            f"{artefact.manifest.name} is not of the live family; only those can be adapted"
        )
    try:
        network = LiveEdvr(_config(artefact, found))
        wanted = dict(network.named_parameters())
        network.load_state_dict({name: found[name] for name in wanted})
    except (KeyError, RuntimeError) as error:  # a weight is missing, or of another shape
        raise ModelMismatch(f"model {artefact.folder}: its graphs are incomplete: {error}") from (
            error
        )
    return network.eval()


def _weights(artefact: Artefact) -> dict[str, torch.Tensor]:
    """Every weight of the graphs by name; the form with DeformConv keeps them all as they are."""
    weights = {}
    for path in (artefact.extract_path, artefact.fuse_path("deform_conv")):
        for initializer in onnx.load(str(path)).graph.initializer:
            if initializer.data_type == onnx.TensorProto.FLOAT:
                weights[initializer.name] = torch.from_numpy(
                    numpy_helper.to_array(initializer).copy()
                )
    return weights


def _config(artefact: Artefact, weights: dict[str, torch.Tensor]) -> LiveConfig:
    coarse = weights["fuse.align.dcn_l2.weight"].shape[2]
    fine = weights["fuse.align.dcn_l1.weight"].shape[2]
    # Each tap of each group has two offsets and a weight.
    groups = weights["fuse.align.dcn_l2.conv_offset.weight"].shape[0] // (3 * coarse**2)
    return LiveConfig(
        scale=artefact.manifest.scale,
        window=artefact.manifest.window,
        lookahead=artefact.manifest.lookahead,
        channels=weights["extract.conv_first.weight"].shape[0],
        near_channels=weights["extract.near_l1.weight"].shape[0],
        align_level=2 if "extract.conv_l3.weight" in weights else 1,
        deformable_groups=groups,
        extract_blocks=_blocks(weights, "extract.blocks"),
        reconstruct_blocks=_blocks(weights, "fuse.reconstruction"),
        fine_kernel=fine,
        coarse_kernel=coarse,
    )


def _blocks(weights: dict[str, torch.Tensor], of: str) -> int:
    return len({name.split(".")[2] for name in weights if name.startswith(f"{of}.")})
