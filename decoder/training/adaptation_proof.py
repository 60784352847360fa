"""Whether a change of weights helps: measured on pictures nothing was trained on, rate by rate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from decoder.edvr.live import LiveEdvr, Planes
from decoder.training.adaptation_windows import Rung
from decoder.training.delta_training import run_with
from decoder.training.metrics import psnr_db
from decoder.training.precision import fast_precision
from decoder.training.samples import Sample, to_batch
from decoder.training.trainer import psnr

LEAST_GAIN_DB = 0.05
"""Mean gain below which a profile is not worth its bytes; one step of training brings half."""

_BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RungGain:
    """Mean PSNR-Y in dB over the pictures of one codec and bitrate, before and after."""

    codec: str
    bitrate_bps: int
    pictures: int
    base_db: float
    adapted_db: float

    @property
    def gain_db(self) -> float:
        """What the change brought."""
        return self.adapted_db - self.base_db


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a change brought at each codec and bitrate. Never empty."""

    rungs: tuple[RungGain, ...]

    @property
    def gain_db(self) -> float:
        """The mean over all codecs and bitrates."""
        return fmean(rung.gain_db for rung in self.rungs)

    @property
    def worst(self) -> RungGain:
        """Where the change brought least."""
        return min(self.rungs, key=lambda rung: rung.gain_db)

    def of_codec(self, codec: str) -> float:
        """The mean gain in dB over the bitrates of one codec."""
        return fmean(rung.gain_db for rung in self.rungs if rung.codec == codec)

    def refusal(self) -> str | None:
        """Why these weights must not replace the model's own; None when they may."""
        if self.worst.gain_db < 0:
            worst = self.worst
            return (
                f"at {worst.bitrate_bps / 1000:g} kb/s {worst.codec} it is"
                f" {-worst.gain_db:.3f} dB worse than the model as it is"
            )
        if self.gain_db < LEAST_GAIN_DB:
            return f"it gains {self.gain_db:.3f} dB, less than {LEAST_GAIN_DB:g}"
        return None


@torch.no_grad()
def prove(
    network: LiveEdvr, weights: Mapping[str, Tensor], windows: Sequence[tuple[Rung, Sample]]
) -> Proof:
    """Compare `network` with what it is with `weights`, on whole pictures, as levels of 8 bits."""
    network.eval()
    base = {name: weight.detach() for name, weight in network.named_parameters()}
    scores: dict[Rung, list[tuple[float, float]]] = defaultdict(list)
    for rung, sample in windows:
        batch = to_batch([sample])
        before, after = (
            _luma_psnr(run_with(network, each, batch), sample) for each in (base, weights)
        )
        scores[rung].append((before, after))
    return Proof(
        rungs=tuple(
            RungGain(
                codec=codec,
                bitrate_bps=bitrate,
                pictures=len(found),
                base_db=fmean(before for before, _ in found),
                adapted_db=fmean(after for _, after in found),
            )
            for (codec, bitrate), found in scores.items()
        )
    )


@torch.no_grad()
def mean_psnr_db(
    network: LiveEdvr, weights: Mapping[str, Tensor], samples: Sequence[Sample]
) -> float:
    """PSNR-Y in dB over patches of one size: a quick look while training goes on."""
    network.eval()
    found: list[float] = []
    for first in range(0, len(samples), _BATCH):
        batch = to_batch(samples[first : first + _BATCH])
        with fast_precision(torch.device("cpu")):
            output = run_with(network, weights, batch)
        found += psnr(output[0], batch.hr[0]).tolist()
    return fmean(found)


def _luma_psnr(planes: Planes, sample: Sample) -> float:
    levels = (planes[0][0, 0] * 128 + 128).round().clamp(0, 255).to(torch.uint8)
    return psnr_db(levels.numpy(), sample["hr_y"][0].astype("uint8", copy=False))
