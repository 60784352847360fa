"""Windows of a running stream that nothing is trained on, by which all is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean

from decoder.training.samples import Sample

HARM_DB = 0.01
"""Weights that are worse than the model's own by more than this are taken back at once."""

_LATEST = 3
"""Windows by which that is told: content changes, and the weights do not fit any more."""


@dataclass(slots=True)
class HeldOut:
    """One of them, and what it is restored to by the model as it is, and by the weights that the
    receiver has: PSNR-Y in dB.
    """

    window: Sample
    own_db: float
    published_db: float


def is_harmful(windows: Sequence[HeldOut]) -> bool:
    """Whether the receiver's weights are worse than the model's own, by the latest windows."""
    latest = list(islice(reversed(windows), _LATEST))
    return bool(latest) and fmean(held.published_db - held.own_db for held in latest) < -HARM_DB
