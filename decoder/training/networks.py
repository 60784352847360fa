"""The networks that a recipe can train: the live family, and the paper's own on planes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from torch import Tensor, nn

from decoder.edvr.live import LiveEdvr, Planes
from decoder.edvr.live_config import LiveConfig
from decoder.edvr.network import Edvr, EdvrConfig
from decoder.edvr.planes import EdvrPlanes
from decoder.training.alignment import AlignmentTask

NetworkConfig: TypeAlias = LiveConfig | EdvrConfig
Network: TypeAlias = LiveEdvr | EdvrPlanes
"""Both take planes (B, N, H, W) and quantisers (B, N), and give the reference's HR planes."""

FAMILIES: dict[str, type[LiveConfig] | type[EdvrConfig]] = {"live": LiveConfig, "edvr": EdvrConfig}
"""What a recipe calls them."""


def build_network(config: NetworkConfig) -> Network:
    """An untrained network. Raises ConfigError when the paper's is not for RGB."""
    if isinstance(config, LiveConfig):
        return LiveEdvr(config)
    return EdvrPlanes(Edvr(config))


def network_config(values: Mapping[str, Any]) -> NetworkConfig:
    """What a checkpoint's recipe says; Any: values are of many types.

    Raises TypeError or ConfigError for what is no network.
    """
    return EdvrConfig(**values) if "num_feat" in values else LiveConfig(**values)


def classical_network(config: NetworkConfig) -> LiveEdvr:
    """The classical upscaler of a network's shape, which an untrained live network is.

    Lanczos; at scale 1 the reference as it came.
    """
    if isinstance(config, LiveConfig):
        return LiveEdvr(config)
    small = LiveConfig(
        scale=config.scale,
        window=config.window,
        lookahead=config.lookahead,
        channels=1,
        near_channels=1,
        deformable_groups=1,
        extract_blocks=0,
        reconstruct_blocks=0,
    )
    return LiveEdvr(small)


class NoTask(nn.Module):
    """In place of the alignment task, for networks that need none: the paper's align at once."""

    def loss(self, lr: Planes) -> Tensor:
        """Zero."""
        return lr[0].new_zeros(())


def alignment_task(network: Network) -> AlignmentTask | NoTask:
    """What helps a network to align in training."""
    return AlignmentTask(network) if isinstance(network, LiveEdvr) else NoTask()
