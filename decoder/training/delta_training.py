"""Trains a change of a network's weights that is small *as coded*.

What travels is, for each weight, an integer times a step of its tensor. Rounding the finished
change would cost a good part of the gain, so the second half of a training already runs with the
rounded weights: the network is computed with them, while gradients go on into the exact ones
behind (the straight-through estimator of Bengio et al., arXiv 1308.3432). What rounding takes away
is then trained back: an exact weight that is rounded down keeps its remainder until it is enough
for a step. Most integers are zero, which entropy coding makes cheap.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from decoder.edvr.live import LiveEdvr, Planes
from decoder.training.losses import planes_loss
from decoder.training.precision import fast_precision
from decoder.training.samples import Batch, Sample, augment_sample, crop_sample, to_batch
from decoder.training.trainer import TrainingCollapsed
from stream.errors import ConfigError
from stream.weight_delta import QuantisedTensor

Part = Literal["all", "most", "fuse", "last"]
"""What is trained: all that can be; that without the alignment; fusion and what follows; the last
layer."""

_PREFIXES: dict[Part, tuple[str, ...]] = {
    "all": ("extract.", "fuse."),
    "most": ("extract.", "fuse.fusion.", "fuse.reconstruction.", "fuse.conv_last."),
    "fuse": ("fuse.fusion.", "fuse.reconstruction.", "fuse.conv_last."),
    "last": ("fuse.conv_last.",),
}

BITS = 5
"""Of an integer: up to ±15 steps. Entropy coding makes the size; this only bounds the largest."""

_STEP_EVERY, _STEP_UNTIL = 20, 0.85
"""Steps of tensors follow their changes at this interval, until this share of the training."""

_WARM_UP = 20
_CLIP_NORM = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaSettings:
    """How a change is trained.

    coarseness: step of a tensor over the root mean square of its changes.
    quantise_from: share of the training that runs before anything is rounded.
    crop: HR side of what is shown of a patch, at most.
    Raises ConfigError for what cannot be trained.
    """

    part: Part = "fuse"
    coarseness: float = 1.5
    learning_rate: float = 1e-3
    quantise_from: float = 0.5
    batch: int = 16
    crop: int = 128
    chroma_weight: float = 0.1
    seed: int = 1

    def __post_init__(self) -> None:
        if self.part not in get_args(Part):
            raise ConfigError(f"part must be of {', '.join(get_args(Part))}, got {self.part!r}")
        for name in ("coarseness", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:  # also refuses what is not a number
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}")


class DeltaTraining:
    """Trains on one network, which stays as it is; the change is kept beside it."""

    def __init__(
        self,
        network: LiveEdvr,
        samples: Sequence[Sample],
        settings: DeltaSettings,
        *,
        adaptable: Collection[str],
    ) -> None:
        """samples: windows of one size; adaptable: names of the weights that a delta may change.
        It runs where the network is.

        Raises ConfigError when there are no samples.
        """
        if not samples:
            raise ConfigError("nothing was cut to train on")
        self.network, self.samples, self.settings = network, samples, settings
        network.requires_grad_(False)
        # twice as fast on a CPU; torch's stubs know the argument for tensors only
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        prefixes = _PREFIXES[settings.part]
        self._base: dict[str, Tensor] = dict(network.named_parameters())
        self._device = next(network.parameters()).device
        self._exact = {
            name: torch.zeros_like(weight, requires_grad=True)
            for name, weight in self._base.items()
            if name in adaptable and name.startswith(prefixes)
        }
        self._steps: dict[str, Tensor] = {}
        self._optimizer = torch.optim.Adam(self._exact.values(), betas=(0.9, 0.99))
        self._rng = np.random.default_rng(settings.seed)
        self._unit = network.config.scale * network.config.multiple_of
        self._is_rounding = False
        self.steps_done = 0

    def step(self, progress: float) -> float:
        """One batch; progress: 0 to 1, how much of the training is over. Returns the loss.

        Raises TrainingCollapsed when it is no longer a number.
        """
        settings = self.settings
        rate = settings.learning_rate * min(1.0, (self.steps_done + 1) / _WARM_UP)
        rate *= 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        is_due = self.steps_done % _STEP_EVERY == 0 and progress < _STEP_UNTIL
        if progress >= settings.quantise_from and (is_due or not self._is_rounding):
            self._is_rounding = True
            self._choose_steps()
        batch = self._draw().to(self._device)
        self.network.train()
        with fast_precision(self._device):
            output = run_with(self.network, self._weights(), batch)
        loss = planes_loss(output, batch.hr, chroma=settings.chroma_weight, name="psnr")
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingCollapsed(f"loss is {value} after {self.steps_done} steps")
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self._exact.values(), _CLIP_NORM)
        self._optimizer.step()
        self.steps_done += 1
        return value

    @torch.no_grad()
    def quantised(self, *, coarser: float = 1.0) -> dict[str, QuantisedTensor]:
        """The change as it would be coded now; tensors that change by nothing are left out.

        coarser: with steps so many times as large as those that were trained with.
        """
        if not self._is_rounding:
            self._choose_steps()
        found = {}
        for name in self._exact:
            step = float(self._steps[name]) * coarser
            values = self._integers(name, step)
            if bool(values.any()):
                levels = values.cpu().numpy().astype(np.int16)
                found[name] = QuantisedTensor(values=levels, scale=step, bits=BITS)
        return found

    def begin_round(self) -> None:
        """Train from progress 0 on once more: exact weights first, then rounded ones."""
        self._is_rounding = False

    @torch.no_grad()
    def go_on_from(self, weights: Mapping[str, Tensor], *, keep: bool) -> None:
        """Train a change of these weights from now on, and not of those before.

        keep: whether what was trained stays, so that the change is now what is missing of it: what
        rounding took away, say, after a coded change was added. Otherwise all begins anew.
        """
        for name, exact in self._exact.items():
            if keep:
                exact += self._base[name] - weights[name]
            else:
                exact.zero_()
        if not keep:
            self._optimizer.state.clear()
        self._base |= weights
        self._is_rounding = False

    @torch.no_grad()
    def limit(self, largest: Mapping[str, float], around: Mapping[str, Tensor]) -> None:
        """Keep each tensor near `around`, by the root mean square of its distance."""
        for name, exact in self._exact.items():
            away = self._base[name] + exact - around[name]
            size = float(away.square().mean().sqrt())
            if size > largest[name]:
                exact += away * (largest[name] / size - 1)

    def _draw(self) -> Batch:
        side = self.samples[0]["hr_y"].shape[-1]
        crop = min(self.settings.crop, side) // self._unit * self._unit
        picked = (
            self.samples[int(index)]
            for index in self._rng.integers(len(self.samples), size=self.settings.batch)
        )
        return to_batch(
            [augment_sample(crop_sample(each, crop, self._rng), self._rng) for each in picked]
        )

    def _weights(self) -> dict[str, Tensor]:
        weights = dict(self._base)
        for name, exact in self._exact.items():
            change = exact
            if self._is_rounding:
                with torch.no_grad():
                    step = self._steps[name]
                    away = self._integers(name, step) * step - exact
                change = exact + away
            weights[name] = weights[name] + change
        return weights

    @torch.no_grad()
    def _choose_steps(self) -> None:
        for name, exact in self._exact.items():
            size = exact.square().mean().sqrt().clamp_min(1e-8)
            self._steps[name] = self.settings.coarseness * size

    def _integers(self, name: str, step: Tensor | float) -> Tensor:
        most = (1 << (BITS - 1)) - 1
        return (self._exact[name] / step).round().clamp(-most, most)


def run_with(network: LiveEdvr, weights: Mapping[str, Tensor], batch: Batch) -> Planes:
    """A batch through `network`, had it these weights."""
    planes: Planes = torch.func.functional_call(
        network, dict(weights), (*batch.lr, batch.quantiser)
    )
    return planes


def changed_weights(network: LiveEdvr, tensors: Mapping[str, QuantisedTensor]) -> dict[str, Tensor]:
    """The weights of `network` after a coded change, to the bit as a receiver adds it."""
    weights: dict[str, Tensor] = {
        name: weight.detach() for name, weight in network.named_parameters()
    }
    for name, tensor in tensors.items():
        weights[name] = weights[name] + torch.from_numpy(tensor.changes())
    return weights
