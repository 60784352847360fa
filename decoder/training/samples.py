"""Batches of windows from a corpus, with augmentation, and a validation part by source."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from decoder.training.corpus import MACROBLOCK
from stream.errors import ConfigError
from stream.h264_quantiser import MAX_QP

ARRAYS = ("lr_y", "lr_u", "lr_v", "hr_y", "hr_u", "hr_v", "quantiser")
Sample = dict[str, NDArray[np.generic]]
"""A window by `ARRAYS`: lr_y (N, h, w), hr_y (1, H, W), … uint8; quantiser (N,), NaN: unknown."""

VALIDATION_SHARE = 12
"""One source in this many is never trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Planes scaled to (sample - 128) / 128: lr (B, N, h, w), hr (B, 1, H, W), quantiser (B, N)."""

    lr: tuple[Tensor, Tensor, Tensor]
    hr: tuple[Tensor, Tensor, Tensor]
    quantiser: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same there; itself where it is there already."""
        if self.quantiser.device == device:
            return self
        lr, hr = (tuple(each.to(device) for each in planes) for planes in (self.lr, self.hr))
        return Batch(lr=lr, hr=hr, quantiser=self.quantiser.to(device))  # type: ignore[arg-type]  # three each


def is_validation(path: Path) -> bool:
    """Whether a shot's source is held out; decided by its file name alone."""
    source = path.stem.rsplit("-", 1)[0]
    return hashlib.sha256(source.encode()).digest()[0] % VALIDATION_SHARE == 0


class Samples:
    """All windows of a corpus in memory, as uint8.

    Raises ConfigError when a shard is damaged, or none is on the wanted side of the split.
    """

    def __init__(self, folder: Path, *, validation: bool) -> None:
        paths = [p for p in sorted(folder.glob("*.npz")) if ".partial" not in p.name]
        self.paths = [p for p in paths if is_validation(p) == validation]
        if not self.paths:
            raise ConfigError(f"no {'validation' if validation else 'training'} shots in {folder}")
        self._shots = [_read_shard(path) for path in self.paths]

    def draw(self, rng: np.random.Generator, count: int, *, crop: int) -> Batch:
        """Random windows of HR side `crop`; every shot is equally likely, however long it is."""
        picked = []
        for _ in range(count):
            shot = self._shots[rng.integers(len(self._shots))]
            index = rng.integers(len(shot["quantiser"]))
            sample = {name: shot[name][index] for name in ARRAYS}
            picked.append(augment_sample(crop_sample(sample, crop, rng), rng))
        return to_batch(picked)

    def each_shot(self) -> list[tuple[str, Batch]]:
        """Every shot's first windows of every rung, in order, not augmented."""
        batches = []
        for path, shot in zip(self.paths, self._shots, strict=True):
            step = max(1, len(shot["quantiser"]) // 16)
            picked = [
                {name: shot[name][index] for name in ARRAYS}
                for index in range(0, len(shot["quantiser"]), step)
            ]
            batches.append((path.stem, to_batch(picked)))
        return batches


def _read_shard(path: Path) -> dict[str, NDArray[np.generic]]:
    """All arrays of a shard. Raises ConfigError, naming it, when it cannot be read."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in ARRAYS}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} is damaged; delete it, and it is cut again") from error


def crop_sample(sample: Sample, crop: int, rng: np.random.Generator) -> Sample:
    """A part of a patch, on macroblock boundaries of the LR."""
    side, lr_side = sample["hr_y"].shape[-1], sample["lr_y"].shape[-1]
    scale = side // lr_side
    if crop >= side:
        return sample
    places = (lr_side - crop // scale) // MACROBLOCK + 1
    x, y = (int(place) * MACROBLOCK for place in rng.integers(0, places, 2))
    out = {}
    for name, array in sample.items():
        if name != "quantiser":
            unit = scale if name.startswith("hr") else 1
            half = 1 if name.endswith("_y") else 2
            length = crop // scale * unit // half
            left, top = x * unit // half, y * unit // half
            array = array[..., top : top + length, left : left + length]
        out[name] = array
    return out


def augment_sample(sample: Sample, rng: np.random.Generator) -> Sample:
    """Mirror and transpose: patches lie on macroblock boundaries, which both keep."""
    mirror, flip, transpose = rng.random(3) < 0.5
    out = {}
    for name, array in sample.items():
        if name != "quantiser":
            array = array[..., ::-1] if mirror else array
            array = array[..., ::-1, :] if flip else array
            array = np.swapaxes(array, -1, -2) if transpose else array
        out[name] = array
    return out


def to_batch(samples: Sequence[Sample]) -> Batch:
    """Samples of one size as a network takes them; quantisers over the largest, -1 for unknown."""

    def plane(name: str) -> Tensor:
        stacked = np.stack([np.ascontiguousarray(sample[name]) for sample in samples])
        return (torch.from_numpy(stacked).float() - 128) / 128

    quantiser = np.stack([sample["quantiser"] for sample in samples]).astype(np.float32)
    return Batch(
        lr=(plane("lr_y"), plane("lr_u"), plane("lr_v")),
        hr=(plane("hr_y"), plane("hr_u"), plane("hr_v")),
        quantiser=torch.from_numpy(np.nan_to_num(quantiser / MAX_QP, nan=-1.0)),
    )
