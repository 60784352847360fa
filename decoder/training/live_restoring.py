"""A live network in torch that restores window by window, with weights that change on the way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from decoder.artefact import Artefact
from decoder.training.artefact_network import live_network
from decoder.training.delta_training import run_with
from decoder.training.denormals import denormals_flushed
from decoder.training.precision import fast_precision
from decoder.training.samples import Sample, to_batch
from stream.frame import Frame, Plane
from stream.weight_chain import Changes


class LiveRestoring:
    """For measuring: as fast as torch is on a CPU, 0.001 dB off what a receiver shows."""

    def __init__(self, artefact: Artefact) -> None:
        """Raises ConfigError when the model is not one that can be adapted."""
        self._network = live_network(artefact)
        self._network.eval()
        self._own = {name: weight.detach() for name, weight in self._network.named_parameters()}
        self._weights: dict[str, Tensor] = dict(self._own)

    def change(self, changes: Changes) -> None:
        """Restore with the model's weights and these changes from now on."""
        self._weights = dict(self._own)
        for name, change in changes.items():
            self._weights[name] = self._own[name] + torch.from_numpy(change.copy())

    @denormals_flushed()
    @torch.no_grad()
    def luma(self, near: Sequence[Frame]) -> Plane:
        """Luma (H, W) of the reference of a window, oldest frame first."""
        with fast_precision(torch.device("cpu")):
            luma = run_with(self._network, self._weights, to_batch([window_sample(near, near[0])]))[
                0
            ]
        levels = (luma[0, 0].float() * 128 + 128).round().clamp(0, 255).to(torch.uint8)
        return np.asarray(levels.numpy())


def window_sample(near: Sequence[Frame], original: Frame) -> Sample:
    """A whole window, oldest frame first, with the original of its reference."""
    sample: Sample = {"quantiser": np.array([frame.quantiser for frame in near], np.float32)}
    for plane in ("y", "u", "v"):
        sample[f"lr_{plane}"] = np.stack([getattr(frame, plane) for frame in near])
        sample[f"hr_{plane}"] = getattr(original, plane)[None]
    return sample
