"""Which model restores a stream: the rule behind `--model`. Pure but for reading model folders."""

from __future__ import annotations

from collections.abc import Sequence

from decoder.artefact import Artefact
from stream.frame import Size

AUTO = "auto"
LANCZOS = "lanczos"

DEFAULT_TIER = "live-xs"
"""The tier that keeps up on two cores without a GPU."""

MIN_USEFUL_RATIO = 1.25
"""Below this enlargement a network's x2 picture would mostly be thrown away again: just resize."""

_RATIO_TOLERANCE = 0.1
"""A x2 model also serves 1 : 2.1; the last few percent are resized rather than halved from x4."""


def enlargement(lr_size: Size, hr_size: Size) -> float:
    """How many times the picture grows, by its faster growing side."""
    return max(hr_size.width / lr_size.width, hr_size.height / lr_size.height)


def choose_artefact(
    artefacts: Sequence[Artefact], *, lr_size: Size, hr_size: Size
) -> Artefact | None:
    """The model that `auto` takes from `artefacts`, or None for Lanczos.

    The smallest scale of the default tier that reaches the wanted size, or the largest there is;
    None when there is hardly anything to enlarge or no such model. A model that does not enlarge,
    as one for deblurring, is never taken unasked.
    """
    ratio = enlargement(lr_size, hr_size)
    family = [
        model
        for model in artefacts
        if model.manifest.tier == DEFAULT_TIER and model.manifest.scale > 1
    ]
    if ratio < MIN_USEFUL_RATIO or not family:
        return None
    by_scale = sorted(family, key=lambda model: (model.manifest.scale, model.manifest.name))
    for model in by_scale:
        if model.manifest.scale * (1 + _RATIO_TOLERANCE) >= ratio:
            return model
    return by_scale[-1]
