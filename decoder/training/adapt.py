"""Adapts a published model to a programme, and proves that it helped before anyone uses it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean

from decoder.adapted_artefact import adaptable_shapes
from decoder.artefact import Artefact
from decoder.training.adaptation_proof import Proof, mean_psnr_db, prove
from decoder.training.adaptation_windows import AdaptationWindows
from decoder.training.artefact_network import live_network
from decoder.training.delta_training import DeltaSettings, DeltaTraining, changed_weights
from decoder.training.denormals import denormals_flushed
from stream.errors import ConfigError
from stream.scene_signature import Scene, telling
from stream.weight_delta import (
    DeltaHeader,
    DeltaLimits,
    QuantisedTensor,
    decode_delta,
    encode_delta,
)

log = logging.getLogger(__name__)

LOOKS = 16
"""So often in a training the coded change is tried on what was set apart."""

PATIENCE = 6
"""Looks without a better change after which a training ends early."""

Tensors = Mapping[str, QuantisedTensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The coded change at one moment: on patches that nothing is trained on, against the base."""

    steps: int
    elapsed_s: float
    loss: float
    gain_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """A finished training: the change with which patches set apart were best.

    coded: its container (`stream.weight_delta`); tensors: what is in it.
    proof: what that change brings on whole pictures that had no part in it.
    """

    coded: bytes
    tensors: Tensors
    proof: Proof
    looks: tuple[Look, ...]
    steps: int
    training_s: float


class Budget:
    """How long to train: for a number of steps, or else for a time."""

    def __init__(
        self, *, seconds: float, steps: int | None, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds, self._steps, self._clock_s = seconds, steps, clock_s
        self._started_s = clock_s()

    @property
    def elapsed_s(self) -> float:
        """Since it was made."""
        return self._clock_s() - self._started_s

    def progress(self, steps_done: int) -> float:
        """0 at the start, 1 and more when it is spent."""
        if self._steps is not None:
            return steps_done / self._steps
        return self.elapsed_s / self._seconds


@denormals_flushed()
def adapt(
    artefact: Artefact,
    windows: AdaptationWindows,
    settings: DeltaSettings,
    budget: Budget,
    *,
    report: Callable[[float, Look | None], None] = lambda progress, look: None,
) -> Adaptation:
    """Train a change of the model's weights on `windows.train` and prove it on `windows.prove`.

    report: called after each step with the progress, 0 to 1, and the latest look. Raises
    ConfigError when the model cannot be adapted, or footage to judge by is missing.
    """
    if not windows.choose or not windows.prove:
        raise ConfigError("the footage is too short to set a part of it aside")
    network, shapes = live_network(artefact), adaptable_shapes(artefact)
    training = DeltaTraining(network, windows.train, settings, adaptable=shapes)
    base = {name: weight.detach() for name, weight in network.named_parameters()}
    base_db = mean_psnr_db(network, base, windows.choose)
    best: Tensors = {}
    looks: list[Look] = []
    losses: list[float] = []
    best_db, since = base_db, 0
    while (progress := budget.progress(training.steps_done)) < 1:
        losses.append(training.step(progress))
        reached = budget.progress(training.steps_done)
        if int(reached * LOOKS) > int(progress * LOOKS):
            tensors = training.quantised()
            found_db = mean_psnr_db(network, changed_weights(network, tensors), windows.choose)
            looks.append(
                Look(
                    steps=training.steps_done,
                    elapsed_s=budget.elapsed_s,
                    loss=fmean(losses),
                    gain_db=found_db - base_db,
                )
            )
            losses.clear()
            if found_db > best_db:
                best, best_db, since = tensors, found_db, 0
            else:
                since += 1
                if since >= PATIENCE:
                    break
        report(min(1.0, reached), looks[-1] if looks else None)
    scene = Scene(number=0, signatures=telling(windows.looks)) if windows.looks else None
    header = DeltaHeader(base_sha256=artefact.sha256, scene=scene)
    coded = encode_delta(header, best, expected_shapes=shapes)
    # What is proven is what a receiver will have read, not what was meant.
    read = decode_delta(coded, limits=DeltaLimits(), expected_shapes=shapes).tensors
    return Adaptation(
        coded=coded,
        tensors=read,
        proof=prove(network, changed_weights(network, read), windows.prove),
        looks=tuple(looks),
        steps=training.steps_done,
        training_s=budget.elapsed_s,
    )
