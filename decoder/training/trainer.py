"""The training loop: bf16, channels-last, averaged weights, resumable to the step."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from rich.progress import Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from decoder.edvr.live import TRUNK_PARTS, LiveEdvr
from decoder.training.denormals import denormals_flushed
from decoder.training.detail import detail_loss
from decoder.training.first_weights import begin_with
from decoder.training.losses import Planes, planes_loss
from decoder.training.networks import (
    alignment_task,
    build_network,
    classical_network,
    network_config,
)
from decoder.training.precision import fast_precision
from decoder.training.recipe import Recipe, Schedule
from decoder.training.samples import Batch, Samples
from stream.errors import ConfigError

OFFSET_LIMIT = 0.25
"""Mean absolute value of a weight that predicts offsets; beyond it alignment has collapsed."""


class TrainingCollapsed(ConfigError):
    """Offsets ran away or the loss is not finite: lower the learning rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Over the classical upscaler, means over held-out shots: PSNR-Y in dB, and detail."""

    psnr_db: float
    detail: float

    def __str__(self) -> str:
        return f"{self.psnr_db:+.3f} dB, detail {self.detail:+.4f}"


def rate_at(step: int, schedule: Schedule) -> float:
    """Learning rate factor: linear warm-up, then a cosine to zero."""
    if step < schedule.warm_up_steps:
        return (step + 1) / schedule.warm_up_steps
    rest = (step - schedule.warm_up_steps) / max(1, schedule.steps - schedule.warm_up_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, rest)))


class Trainer:
    """Trains one recipe; everything it needs to go on is in `folder`/checkpoint.pt."""

    def __init__(
        self,
        recipe: Recipe,
        corpus: Path,
        folder: Path,
        *,
        resume: bool,
        start: Path | None = None,
    ) -> None:
        """resume: go on from the checkpoint in `folder`, if there is one.

        start: else begin with the averaged weights of this checkpoint, as a second stage does.
        Raises ConfigError when a checkpoint does not fit the recipe.
        """
        self.recipe, self.folder = recipe, folder
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.schedule.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = build_network(recipe.network).to(self.device)
        # twice as fast on a CPU; torch's stubs know the argument for tensors only
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval()
        self.alignment = alignment_task(self.network).to(self.device)
        groups = _parameter_groups((self.network, self.alignment), recipe.schedule)
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=1e-4)
        self.step = 0
        self.earlier: list[list[int]] = []  # steps and batch of the stages before this one
        self.rng = np.random.default_rng(recipe.schedule.seed)
        if resume and self.checkpoint.exists():
            self._load()
        elif start is not None:
            self._begin_with(start)
        self.training = Samples(corpus, validation=False)
        self.validation = Samples(corpus, validation=True).each_shot()
        # Of a run that went on after its last checkpoint, what is done again is logged again.
        self.writer = SummaryWriter(str(folder / "logs"), purge_step=self.step or None)

    @property
    def checkpoint(self) -> Path:
        """Where the state is kept."""
        return self.folder / "checkpoint.pt"

    @denormals_flushed()
    def run(self) -> None:
        """Train until the schedule ends; raises TrainingCollapsed when it has become hopeless."""
        schedule = self.recipe.schedule
        columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
        try:
            with Progress(*columns, TextColumn("{task.fields[gain]}")) as progress:
                task = progress.add_task(
                    self.recipe.name, total=schedule.steps, completed=self.step, gain=""
                )
                while self.step < schedule.steps:
                    loss = self._one_step()
                    self.step += 1
                    progress.update(task, completed=self.step)
                    if self.step % 50 == 0:
                        self.writer.add_scalar("loss", loss, self.step)
                    if self.step % schedule.validate_every == 0 or self.step == schedule.steps:
                        gain = self._validate()
                        progress.update(task, gain=f"{gain.psnr_db:+.3f} dB over Lanczos")
                        progress.console.print(f"step {self.step}: loss {loss:.5f}, {gain}")
                        self._save()
        finally:
            self.writer.close()

    def _one_step(self) -> float:
        schedule = self.recipe.schedule
        factor = rate_at(self.step, schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        drawn = self.training.draw(self.rng, schedule.batch, crop=schedule.crop)
        batch = self._degrade_knowledge(drawn)
        lr = [plane.to(self.device) for plane in batch.lr]
        y, u, v = (plane.to(self.device) for plane in batch.hr)
        with fast_precision(self.device):
            output = self._forward()(*lr, batch.quantiser)
        loss = planes_loss(output, (y, u, v), chroma=schedule.chroma_weight, name=schedule.loss)
        loss = loss + schedule.align_weight * factor * self.alignment.loss((lr[0], lr[1], lr[2]))
        if schedule.detail_weight:
            loss = loss + schedule.detail_weight * detail_loss(output[0], y)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingCollapsed(f"loss is {value} at step {self.step}; lower learning_rate")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(self.network.parameters(), schedule.clip_norm)
        self.optimizer.step()
        self._update_average()
        if self.step % 100 == 0:
            self._guard_offsets()
        return value

    def _forward(self) -> Callable[..., Planes]:
        if self.recipe.schedule.neighbours:
            return self.network
        assert isinstance(self.network, LiveEdvr)  # the recipe has seen to it
        return self.network.alone

    def _degrade_knowledge(self, batch: Batch) -> Batch:
        """Hide some quantisers, and show some windows as one still frame."""
        schedule, at = self.recipe.schedule, self.recipe.network.reference
        blind = torch.from_numpy(self.rng.random(len(batch.quantiser)) < schedule.blind_ratio)
        still = torch.from_numpy(self.rng.random(len(batch.quantiser)) < schedule.still_ratio)
        quantiser = torch.where(blind[:, None], torch.tensor(-1.0), batch.quantiser)
        lr = []
        for plane in batch.lr:
            plane = plane.clone()
            plane[still] = plane[still, at : at + 1]
            lr.append(plane)
        return Batch(lr=(lr[0], lr[1], lr[2]), hr=batch.hr, quantiser=quantiser.to(self.device))

    def _update_average(self) -> None:
        decay = min(self.recipe.schedule.average_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
            for kept, new in pairs:
                kept.lerp_(new, 1 - decay)

    def _guard_offsets(self) -> None:
        for name, parameter in self.network.named_parameters():
            if "conv_offset.weight" in name:
                offsets = parameter.detach()[: len(parameter) * 2 // 3]  # the rest are masks
                magnitude = float(offsets.abs().mean())
                self.writer.add_scalar(f"offsets/{name}", magnitude, self.step)
                if magnitude > OFFSET_LIMIT:
                    raise TrainingCollapsed(
                        f"{name} reached {magnitude:.2f} at step {self.step}; lower offset_rate"
                    )

    @torch.no_grad()
    def _validate(self) -> Gain:
        """What the averaged weights gain over the classical upscaler, each held-out shot once."""
        classical = classical_network(self.recipe.network).to(self.device)
        gains = []
        for _, batch in self.validation:
            lr = [p.to(self.device) for p in batch.lr]
            target, quantiser = batch.hr[0].to(self.device), batch.quantiser.to(self.device)
            restored, enlarged = (
                network(*lr, quantiser)[0] for network in (self.average, classical)
            )
            gains.append(
                (
                    float((psnr(restored, target) - psnr(enlarged, target)).mean()),
                    float(detail_loss(enlarged, target) - detail_loss(restored, target)),
                )
            )
        in_db = [gain_db for gain_db, _ in gains]
        gain = Gain(psnr_db=fmean(in_db), detail=fmean(detail for _, detail in gains))
        self.writer.add_scalar("gain_db/mean", gain.psnr_db, self.step)
        self.writer.add_scalar("gain_db/worst", min(in_db), self.step)
        self.writer.add_scalar("gain_detail/mean", gain.detail, self.step)
        return gain

    def _save(self) -> None:
        state = {
            "recipe": asdict(self.recipe),
            "step": self.step,
            "earlier": self.earlier,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "alignment": self.alignment.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": self.rng.bit_generator.state,
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.rename(self.checkpoint)

    def _begin_with(self, checkpoint: Path) -> None:
        """With the weights of `checkpoint`, of a network that differs in its alignment at most."""
        from decoder.training.publish import load_trained

        start, made = load_trained(checkpoint)
        self.earlier = [*made["earlier"], [made["trained_steps"], made["schedule"]["batch"]]]
        for network in (self.network, self.average):
            if not begin_with(network, start):
                raise ConfigError(
                    f"{checkpoint} is of another network than recipe {self.recipe.name}"
                )

    def _load(self) -> None:
        try:
            state: dict[str, Any] = torch.load(  # Any: a checkpoint's values are of many types
                self.checkpoint, map_location=self.device, weights_only=True
            )
            if network_config(state["recipe"]["network"]) != self.recipe.network:
                raise ConfigError(
                    f"{self.checkpoint} is of another network; train this one in another folder"
                )
            self.step = state["step"]
            self.earlier = state.get("earlier", [])
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.alignment.load_state_dict(state["alignment"])
            rates = [group["base_lr"] for group in self.optimizer.param_groups]
            self.optimizer.load_state_dict(state["optimizer"])
            for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
                group["base_lr"] = rate  # the recipe's may have been changed since
            self.rng.bit_generator.state = state["rng"]
        except (ConfigError, OSError):
            raise
        except Exception as error:  # torch raises many types for a file that is not its own
            raise ConfigError(f"{self.checkpoint} is not a training checkpoint") from error


def psnr(output: Tensor, target: Tensor) -> Tensor:
    """PSNR in dB per sample of the batch, of planes scaled to (sample - 128) / 128."""
    error = ((output.float() - target) ** 2).mean(dim=(1, 2, 3)) * 128**2
    return 10 * torch.log10(255**2 / error.clamp_min(1e-6))


def _parameter_groups(parts: tuple[nn.Module, ...], schedule: Schedule) -> list[dict[str, Any]]:
    """Offset layers learn slower, and so may the trunk. Any: what torch's optimisers take."""
    groups: dict[float, list[nn.Parameter]] = {1.0: [], schedule.offset_rate: []}
    for part in parts:
        for name, parameter in part.named_parameters():
            share = 1.0
            if "conv_offset" in name:
                share = schedule.offset_rate
            elif name.startswith(TRUNK_PARTS) and "fusion" not in name:
                share = schedule.trunk_rate
            groups.setdefault(share, []).append(parameter)
    return [
        {"params": found, "base_lr": rate, "lr": rate}
        for rate, found in ((schedule.learning_rate * share, groups[share]) for share in groups)
    ]
