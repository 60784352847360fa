"""Windows of a running stream, as training takes them."""

from __future__ import annotations

import numpy as np

from decoder.training.samples import Sample
from stream.trainer_messages import TrainingWindow


def sample_of(window: TrainingWindow) -> Sample:
    """Whole pictures: lr (N, h, w), hr (1, H, W), quantiser (N,), NaN where it is not known."""
    levels = [np.nan if each.quantiser is None else each.quantiser for each in window.lr]
    sample: Sample = {"quantiser": np.array(levels, np.float32)}
    for plane in ("y", "u", "v"):
        sample[f"lr_{plane}"] = np.stack([getattr(each, plane) for each in window.lr])
        sample[f"hr_{plane}"] = getattr(window.original, plane)[None]
    return sample


def without_padding(window: Sample, multiple_of: int, scale: int) -> Sample:
    """Cut at the right and below to what a network takes as it is."""
    height, width = (length // multiple_of * multiple_of for length in window["lr_y"].shape[-2:])
    cut: Sample = {"quantiser": window["quantiser"]}
    for kind, unit in (("lr", 1), ("hr", scale)):
        for plane, half in (("y", 1), ("u", 2), ("v", 2)):
            array = window[f"{kind}_{plane}"]
            cut[f"{kind}_{plane}"] = array[..., : height * unit // half, : width * unit // half]
    return cut
