"""A whole clip through a torch network, before it is a model folder or a profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from decoder.edvr.export import to_levels
from decoder.edvr.live import LiveEdvr
from decoder.training.delta_training import changed_weights, run_with
from decoder.training.samples import Sample, to_batch
from stream.frame import Frame
from stream.weight_delta import QuantisedTensor


def restored_clip(
    network: LiveEdvr, change: Mapping[str, QuantisedTensor], lr: Sequence[Frame]
) -> Iterator[Frame]:
    """Every frame of `lr`, restored by `network` after a change of its weights (may be empty).

    Sides must be multiples of what the network takes. At both ends the window repeats the nearest
    frame.
    """
    network.eval()
    weights, config = changed_weights(network, change), network.config
    past = config.window - 1 - config.lookahead
    for at, frame in enumerate(lr):
        places = range(at - past, at + config.lookahead + 1)
        near = [lr[min(max(0, place), len(lr) - 1)] for place in places]
        with torch.no_grad():
            planes = run_with(network, weights, to_batch([_window(near)]))
        y, u, v = (to_levels(plane)[0, 0].numpy() for plane in planes)
        yield replace(frame, y=y, u=u, v=v, quantiser=None)


def _window(near: Sequence[Frame]) -> Sample:
    sample: Sample = {"quantiser": np.array([frame.quantiser for frame in near], np.float32)}
    for plane in ("y", "u", "v"):
        sample[f"lr_{plane}"] = np.stack([getattr(frame, plane) for frame in near])
        sample[f"hr_{plane}"] = sample[f"lr_{plane}"][:1]  # not known here, and not looked at
    return sample
