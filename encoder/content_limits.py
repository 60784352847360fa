"""At which rates one picture size gives way to the next, for the pictures at hand. Pure.

What a viewer sees of a small picture differs from the original by what shrinking took away and by
what coding did to the rest, and the two squared errors add up: on five clips, four sizes and five
rates of both codecs, their sum is within 0.3 dB of what was measured after restoration in 9 of 10
cases. The sender measures both. At the same rate a larger picture loses less by shrinking and more
by coding, by a factor that hardly depends on the clip and was learned (`ladder_steps.json`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

FALLOFF = 1.1
"""The squared error of coding falls with the rate to this power: 1.0 to 1.3 give the same sizes."""

TRUST = 0.85
"""Weight of what is measured against the limits learned for all clips, on a logarithmic scale. With
each clip left out of the learning: 0.5 to 1 choose better than 0, 0.7 to 0.85 best."""

LOWEST_BPS, HIGHEST_BPS = 20_000.0, 50_000_000.0
"""Limits of sizes that are best at no rate, or at every rate that there can be."""

_LEAST_GAIN = 1e-3  # of a larger picture, in squared error: below it is nothing to be seen
_LEAST_SHARE = 0.5
"""Of what plain resizing gains by a larger picture, that is left of it after restoration: noise is
restored in no size, other than the shapes that `ContentModel.kept` was learned from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentModel:
    """By rung, the smallest first. kept: share of the error of shrinking that is left after
    restoration. growth: error of coding at the same rate, relative to the smallest rung.
    """

    kept: tuple[float, ...]
    growth: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What the pictures at hand lose. Errors are mean squares over luma samples (0..255).

    shrunk: by rung, of shrinking to its size and enlarging again by plain resizing. rung: on which
    they are coded now. coded: of coding there, times the bits a second to the power of FALLOFF.
    """

    shrunk: tuple[float, ...]
    rung: int
    coded: float


def coded_effort(mse: float, bitrate_bps: float) -> float:
    """`Content.coded` of one frame."""
    return float(mse * bitrate_bps**FALLOFF)


def fitted_limits(
    model: ContentModel, content: Content, usual_bps: Sequence[float]
) -> tuple[float, ...]:
    """Up to which rate each rung but the last is best; usual_bps: the same for all clips."""
    smallest = content.coded / model.growth[content.rung]
    left = [kept * shrunk for kept, shrunk in zip(model.kept, content.shrunk, strict=True)]
    limits = []
    for rung, usual in enumerate(usual_bps):
        gained = max(
            left[rung] - left[rung + 1],
            _LEAST_SHARE * (content.shrunk[rung] - content.shrunk[rung + 1]),
            _LEAST_GAIN,
        )
        paid = max(0.0, smallest * (model.growth[rung + 1] - model.growth[rung]))
        own = min(HIGHEST_BPS, max(LOWEST_BPS, (paid / gained) ** (1 / FALLOFF)))
        limits.append(own**TRUST * max(usual, LOWEST_BPS) ** (1 - TRUST))
    return tuple(accumulate(limits, max))
