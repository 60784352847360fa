"""Which model restores a stream: the rule behind `--model`. Pure but for reading model folders."""

from __future__ import annotations

from collections.abc import Sequence

from decoder.artefact import Artefact
from stream.frame import Size

AUTO = "auto"
LANCZOS = "lanczos"

ALONE_TIER = "live-xxs"
"""The weights of live-xs that restore each frame alone, which takes two thirds of the time."""

TIERS = ("live-m", "live-s", "live-xs", ALONE_TIER)
"""What `auto` chooses from, best first."""

DEFAULT_TIER = "live-xs"
"""The tier that keeps up on two cores without a GPU."""

MIN_USEFUL_RATIO = 1.25
"""Below this enlargement a network's x2 picture would mostly be thrown away again: just resize."""

_RATIO_TOLERANCE = 0.1
"""A x2 model also serves 1 : 2.1; the last few percent are resized rather than halved from x4."""


def enlargement(lr_size: Size, hr_size: Size) -> float:
    """How many times the picture grows, by its faster growing side."""
    return max(hr_size.width / lr_size.width, hr_size.height / lr_size.height)


def choose_artefacts(
    artefacts: Sequence[Artefact], *, lr_size: Size, hr_size: Size, best_tier: str | None = None
) -> list[Artefact]:
    """The models that `auto` takes from `artefacts`, best first; none means Lanczos.

    Of `best_tier` (the default one for None) and of each tier below it the one with the smallest
    scale that reaches the wanted size; where none does, the largest there is of the last tier.
    None at all when there is hardly anything to enlarge. A model that does not enlarge, as one for
    deblurring, is never taken unasked.
    """
    ratio = enlargement(lr_size, hr_size)
    if ratio < MIN_USEFUL_RATIO:
        return []
    best_tier = DEFAULT_TIER if best_tier is None else best_tier
    tiers = TIERS[TIERS.index(best_tier) :] if best_tier in TIERS else (best_tier,)
    chosen: list[Artefact] = []
    too_small: list[Artefact] = []
    for tier in tiers:
        family = [
            model for model in artefacts if model.manifest.tier == tier and model.manifest.scale > 1
        ]
        by_scale = sorted(family, key=lambda model: (model.manifest.scale, model.manifest.name))
        reaching = (
            model for model in by_scale if model.manifest.scale * (1 + _RATIO_TOLERANCE) >= ratio
        )
        chosen += [model for model in [next(reaching, None)] if model is not None]
        too_small = by_scale[-1:] or too_small
    return chosen or too_small
