"""What a network begins a later stage of its training with: the weights of another one."""

from __future__ import annotations

import torch

from decoder.edvr.live import TRUNK_PARTS, LiveEdvr
from decoder.training.networks import Network


def begin_with(network: Network, start: Network) -> bool:
    """Copy the weights of `start`; False when its trunk is another.

    A live network may align its frames otherwise, which is then learned anew, as what its
    neighbours add to the fusion: it begins as what `start` makes of the reference alone. It may
    also enlarge otherwise: then its last layer begins at the classical upscaler.
    """
    if network.config == start.config:
        network.load_state_dict(start.state_dict())
        return True
    if not isinstance(network, LiveEdvr) or not isinstance(start, LiveEdvr):
        return False
    if not network.config.has_trunk_of(start.config):
        return False
    channels = network.config.channels
    with torch.no_grad():
        network.fuse.fusion.weight[:, channels:] = 0
        network.fuse.fusion.weight[:, :channels] = start.fuse.fusion.weight[:, :channels]
        weights = {
            name: weight
            for name, weight in start.state_dict().items()
            if name.startswith(TRUNK_PARTS) and name != "fuse.fusion.weight"
        }
        if network.config.scale != start.config.scale:
            weights = {n: weight for n, weight in weights.items() if "conv_last" not in n}
        network.load_state_dict(weights, strict=False)
    return True
