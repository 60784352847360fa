"""How the losses of shrinking and of coding depend on each other: what the sender's ladder knows of
content (`encoder.content_limits`), learned from clips. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np

from benchmarks.ladder_content import Losses
from encoder.content_limits import ContentModel

LEAST_KEPT = 0.3
"""Of the error of shrinking, left by restoration: less is taken for a flaw of the measurement."""

Curve = list[tuple[float, float]]
Curves = dict[Fraction, dict[str, Curve]]
"""By share of the output's sides and clip: (bits a second, quality), by rising rate."""


def common_clips(curves: Curves, losses: Losses) -> list[str]:
    """Clips of which both the quality after restoration and the losses are known."""
    if set(curves) != set(losses.shares):
        return []
    return sorted(set.intersection(set(losses.clips), *map(set, curves.values())))


def model_of(
    curves: Curves, losses: Losses, *, codec: str, clips: Sequence[str]
) -> ContentModel | None:
    """Learned from these clips alone."""
    if not clips:
        return None
    highest = {
        (clip, share): (by_clip[clip][-1][0], squared_error(by_clip[clip][-1][1]))
        for share, by_clip in curves.items()
        for clip in clips
    }
    return learn_model(losses, highest, codec=codec, clips=clips)


def squared_error(psnr_db: float) -> float:
    """Mean over samples of 8 bits."""
    return float(255**2 / 10 ** (psnr_db / 10))


def learn_model(
    losses: Losses,
    restored: Mapping[tuple[str, Fraction], tuple[float, float]],
    *,
    codec: str,
    clips: Sequence[str],
) -> ContentModel:
    """How errors depend on each other, by share.

    restored: of clip and share, the highest rate and the squared error after restoration there.
    clips: those to learn from.
    """
    shares = losses.shares
    growth = [0.0]
    for smaller, larger in pairwise(shares):
        steps = []
        for clip in clips:
            rates = [rate for rate, _ in losses.coded[codec, clip, larger]]
            lowest, highest = (
                pick(curve[end][0] for curve in _curves(losses, codec, clip, smaller, larger))
                for pick, end in ((max, 0), (min, -1))
            )
            steps += [
                math.log(
                    losses.coded_mse(codec, clip, larger, math.exp(rate))
                    / losses.coded_mse(codec, clip, smaller, math.exp(rate))
                )
                for rate in rates
                if lowest <= rate <= highest
            ]
        growth.append(growth[-1] + float(np.median(steps)))
    kept = []
    for share in shares:
        parts = [
            (squared - losses.coded_mse(codec, clip, share, bps)) / losses.shrunk[clip][share]
            for clip in clips
            if share != 1 and (clip, share) in restored
            for bps, squared in [restored[clip, share]]
        ]
        clear = [min(1.0, max(LEAST_KEPT, part)) for part in parts]
        kept.append(float(np.median(clear)) if clear else 1.0)
    return ContentModel(
        kept=tuple(round(each, 2) for each in kept),
        growth=tuple(round(math.exp(each), 2) for each in growth),
    )


def _curves(
    losses: Losses, codec: str, clip: str, *shares: Fraction
) -> list[Sequence[tuple[float, float]]]:
    return [losses.coded[codec, clip, share] for share in shares]
