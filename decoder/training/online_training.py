"""Adapts a model to a stream while it runs: what the sender trains beside its own coding.

Windows of the stream come in, as a receiver decodes them and with their originals. Some are set
apart for good; of the others patches are kept where the restored picture is worst. Training goes
in rounds. After each, what the weights have moved away from those that the receiver has is coded,
read back, and measured on the windows set apart: a *step* is proposed only when it gains more
there than its bits would gain in the codec. What rounding leaves over is not lost: the next round
begins with it.

This file computes; it knows no clock, no process and no network.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from decoder.adapted_artefact import MAX_CHANGE_FLOOR, MAX_CHANGE_RATIO, adaptable_shapes
from decoder.artefact import Artefact
from decoder.training.artefact_network import live_network
from decoder.training.delta_training import DeltaSettings, DeltaTraining, run_with
from decoder.training.metrics import psnr_db
from decoder.training.patch_pool import PatchPool
from decoder.training.samples import Sample, to_batch
from decoder.training.trainer import TrainingCollapsed
from stream.errors import ConfigError
from stream.weight_chain import WeightChain
from stream.weight_delta import DeltaHeader, decode_delta, encode_delta
from stream.weight_messages import LIVE_LIMITS

log = logging.getLogger(__name__)

DB_PER_DOUBLING = 3.0
"""PSNR-Y that twice the bits bring in the codec, about, at the rates where networks restore."""

_HARM_DB = 0.01
"""Weights that are worse than the model's own by more than this are taken back at once."""

_LATEST = 3
"""Windows set apart by which that is told: content changes, and the weights do not fit any more."""

COARSER = (1.0, 2.0, 4.0)
"""Steps of the proposal that is worth most, over those that were trained with: where little can be
gained, a few kilobytes bring most of it."""

_PLENTY_DB = 0.1
"""Beyond its price; then no coarser proposal is tried."""

_LOST_ROUNDS = 4
"""Rounds in a row that end worse than they began; then what was trained is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineSettings:
    """How a stream is learned.

    video_bps: what the codec spends, which a step's bits are weighed against.
    horizon_s: how long a step is expected to be of use: its bits are spread over this time.
    round_steps: training steps between two looks at what was gained.
    pool: patches that are kept; patches: of each window, at most.
    hold_out_every: one window in so many is set apart; held_out: how many of them are kept.
    patch: HR side of a patch. change_ratio: largest change of a tensor in shares of what a
    receiver takes.
    """

    video_bps: int = 150_000
    horizon_s: float = 60.0
    db_per_doubling: float = DB_PER_DOUBLING
    round_steps: int = 120
    pool: int = 512
    patches: int = 8
    hold_out_every: int = 3
    held_out: int = 8
    patch: int = 192
    change_ratio: float = 0.5
    training: DeltaSettings = field(default_factory=lambda: DeltaSettings(batch=8, coarseness=2.0))

    def __post_init__(self) -> None:
        if self.video_bps < 1 or not 0 < self.horizon_s < math.inf or self.hold_out_every < 2:
            raise ConfigError("a stream cannot be learned by these settings")

    def price_db(self, size_bytes: int) -> float:
        """What the codec would gain from so many bytes, spread over the horizon."""
        return self.db_per_doubling * math.log2(
            1 + 8 * size_bytes / (self.horizon_s * self.video_bps)
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proposal:
    """A coded delta that is worth its bits, and what was measured on windows set apart.

    gain_db: over what the receiver has; over_model_db: over the model as it is.
    price_db: what its bits would have gained in the codec. is_state: whether it stands alone.
    """

    coded: bytes
    gain_db: float
    over_model_db: float
    price_db: float
    is_state: bool
    weights: Mapping[str, Tensor]

    @property
    def worth_db(self) -> float:
        """What it gains beyond its price."""
        return self.gain_db - self.price_db


@dataclass(slots=True)
class _HeldOut:
    """A whole window that nothing is trained on; what the weights in use make of it, in dB."""

    window: Sample
    own_db: float
    published_db: float


class OnlineTraining:
    """Learns one stream for one model. For one thread."""

    def __init__(
        self,
        artefact: Artefact,
        settings: OnlineSettings | None = None,
        *,
        device: str = "cpu",
    ) -> None:
        """device: of torch. Raises ConfigError when the model is not one that can be adapted."""
        self.settings = settings or OnlineSettings()
        self.artefact = artefact
        self.steps_done = 0
        self.rounds_refused = 0
        """Rounds after which nothing was worth its bits."""
        self._device = torch.device(device)
        self._network = live_network(artefact).to(self._device)
        # as in `DeltaTraining`, which is made later
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._shapes = adaptable_shapes(artefact)
        self._own = {name: weight.detach() for name, weight in self._network.named_parameters()}
        self._published: dict[str, Tensor] = dict(self._own)
        self._chain, self._next_sequence = WeightChain(artefact.sha256), 0
        self._limits = {
            name: self.settings.change_ratio
            * max(MAX_CHANGE_RATIO * _root_mean_square(weight), MAX_CHANGE_FLOOR)
            for name, weight in self._own.items()
        }
        self._pool = PatchPool(
            self.settings.pool,
            side=self.settings.patch // artefact.manifest.scale,
            scale=artefact.manifest.scale,
            seed=self.settings.training.seed,
        )
        self._held_out: deque[_HeldOut] = deque(maxlen=self.settings.held_out)
        self._windows = 0
        self._training: DeltaTraining | None = None
        self._in_round = 0
        self._lost_rounds = 0
        self._size: tuple[int, ...] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether there are windows enough to train and to prove by."""
        return bool(self._pool) and len(self._held_out) >= 2

    @property
    def is_round_over(self) -> bool:
        """Whether `propose` may have something."""
        return self._in_round >= self.settings.round_steps

    def add(self, window: Sample) -> float:
        """Take a whole window with its original; PSNR-Y in dB of it as the receiver restores it.

        window: see `Sample`; pictures of another size than before make all begin anew, with the
        weights there are. One that is smaller than a patch raises ConfigError.
        """
        window = _even(window, self.artefact.manifest.multiple_of, self.artefact.manifest.scale)
        height, width = window["hr_y"].shape[-2:]
        if min(height, width) < self.settings.patch:
            raise ConfigError(f"pictures of {width}x{height} are too small to learn from")
        if window["lr_y"].shape != self._size:
            self._size = window["lr_y"].shape
            self._pool.clear()
            self._held_out.clear()
            self._windows = 0
        restored = self._restored(window, self._published)
        published_db = psnr_db(restored, _luma(window))
        self._windows += 1
        if self._windows % self.settings.hold_out_every == 0:
            own_db = published_db
            if self._chain.changes:
                own_db = psnr_db(self._restored(window, self._own), _luma(window))
            held = _HeldOut(window=window, own_db=own_db, published_db=published_db)
            self._held_out.append(held)
        else:
            error = np.square(restored.astype(np.float32) - _luma(window))
            self._pool.add(window, error, count=self.settings.patches)
        return published_db

    def train(self, steps: int) -> int:
        """Train so many steps, not beyond the end of the round; how many were done."""
        if not self._pool:
            return 0
        if self._training is None:
            self._training = DeltaTraining(
                self._network, self._pool, self.settings.training, adaptable=self._shapes
            )
        done = 0
        while done < steps and not self.is_round_over:
            try:
                self._training.step(self._in_round / self.settings.round_steps)
            except TrainingCollapsed as error:
                log.debug("%s: beginning anew", error)
                self._training.go_on_from(self._published, keep=False)
            self._in_round += 1
            done += 1
        self._training.limit(self._limits, self._own)
        self.steps_done += done
        return done

    def propose(self) -> Proposal | None:
        """End the round: a delta that is worth its bits, or None. Takes a good part of a second.

        It changes nothing here until `publish` is told that it travels.
        """
        if self._training is None or not self.is_ready:
            return None
        self._in_round = 0
        found: list[Proposal] = []
        for coarser in COARSER:
            candidate = self._candidate(self._training, coarser)
            if candidate is not None:
                found.append(candidate)
                if candidate.worth_db > _PLENTY_DB:
                    break
        self._training.begin_round()
        self._note_loss(self._training, found)
        worth = [each for each in found if each.worth_db > 0 and each.over_model_db > 0]
        best = max(worth, key=lambda each: each.worth_db, default=None)
        if self._is_harmful() and (best is None or best.over_model_db < _HARM_DB):
            best = self._return()
        if best is None:
            self.rounds_refused += 1
        return best

    def publish(self, proposal: Proposal) -> None:
        """The receiver has, or will have, what was proposed last."""
        delta = decode_delta(proposal.coded, limits=LIVE_LIMITS, expected_shapes=self._shapes)
        if delta.header.is_state:
            self._chain = WeightChain(self.artefact.sha256)
        self._chain.apply(delta)
        self._next_sequence = delta.header.sequence + 1
        self._published = dict(proposal.weights)
        if self._training is not None:
            self._training.go_on_from(self._published, keep=bool(delta.tensors))
        for held in self._held_out:
            held.published_db = self._psnr(held.window, self._published)

    def restart(self) -> None:
        """The receiver has the model's own weights: what comes next is a state.

        What was learned stays, and is proposed after the round.
        """
        self._chain = WeightChain(self.artefact.sha256)
        self._published = dict(self._own)
        if self._training is not None:
            self._training.go_on_from(self._own, keep=True)
        for held in self._held_out:
            held.published_db = held.own_db

    def _candidate(self, training: DeltaTraining, coarser: float) -> Proposal | None:
        tensors = training.quantised(coarser=coarser)
        if not tensors:
            return None
        header = self._header(parent=self._chain.digest)
        coded = encode_delta(header, tensors, expected_shapes=self._shapes)
        if len(coded) > LIVE_LIMITS.max_bytes:
            return None
        # What is proven is what the receiver will have, added up as it adds up.
        delta = decode_delta(coded, limits=LIVE_LIMITS, expected_shapes=self._shapes)
        weights = dict(self._own)
        for name, change in self._chain.after(delta).items():
            weights[name] = weights[name] + torch.from_numpy(change.copy()).to(self._device)
        found = [
            (self._psnr(held.window, weights), held.published_db, held.own_db)
            for held in self._held_out
        ]
        proposal = Proposal(
            coded=coded,
            gain_db=fmean(db - published_db for db, published_db, _ in found),
            over_model_db=fmean(db - own_db for db, _, own_db in found),
            price_db=self.settings.price_db(len(coded)),
            is_state=header.is_state,
            weights=weights,
        )
        log.debug(
            "%d bytes gain %+.3f dB in the network, %+.3f dB in the codec; %+.3f dB over the model",
            *(len(coded), proposal.gain_db, proposal.price_db, proposal.over_model_db),
        )
        return proposal

    def _note_loss(self, training: DeltaTraining, found: list[Proposal]) -> None:
        """Give up what was trained when round after round makes it worse."""
        is_lost = bool(found) and max(each.gain_db for each in found) < 0
        self._lost_rounds = self._lost_rounds + 1 if is_lost else 0
        if self._lost_rounds >= _LOST_ROUNDS:
            self._lost_rounds = 0
            training.go_on_from(self._published, keep=False)

    def _is_harmful(self) -> bool:
        """Whether what the receiver has is worse than the model as it is, by the latest windows."""
        latest = list(self._held_out)[-_LATEST:]
        return bool(self._chain.changes) and (
            fmean(held.published_db - held.own_db for held in latest) < -_HARM_DB
        )

    def _return(self) -> Proposal:
        """Back to the model's own weights, in a hundred and some bytes."""
        coded = encode_delta(self._header(parent=None), {}, expected_shapes=self._shapes)
        lost_db = fmean(held.own_db - held.published_db for held in self._held_out)
        return Proposal(
            coded=coded,
            gain_db=lost_db,
            over_model_db=0.0,
            price_db=self.settings.price_db(len(coded)),
            is_state=True,
            weights=dict(self._own),
        )

    def _header(self, *, parent: str | None) -> DeltaHeader:
        return DeltaHeader(
            base_sha256=self.artefact.sha256, sequence=self._next_sequence, parent=parent
        )

    def _psnr(self, window: Sample, weights: Mapping[str, Tensor]) -> float:
        return psnr_db(self._restored(window, weights), _luma(window))

    @torch.no_grad()
    def _restored(self, window: Sample, weights: Mapping[str, Tensor]) -> np.ndarray:
        """Luma (H, W) as levels of 8 bits."""
        self._network.eval()
        batch = to_batch([window]).to(self._device)
        # Two and a half times as fast on a CPU, and 0.001 dB off, in whatever is compared alike.
        with torch.autocast(self._device.type, torch.bfloat16):
            luma = run_with(self._network, weights, batch)[0][0, 0].float()
        levels = (luma * 128 + 128).round().clamp(0, 255).to(torch.uint8)
        return np.asarray(levels.cpu().numpy())


def _luma(window: Sample) -> np.ndarray:
    return window["hr_y"][0]


def _root_mean_square(weight: Tensor) -> float:
    return float(weight.square().mean().sqrt())


def _even(window: Sample, multiple_of: int, scale: int) -> Sample:
    """Cut at the right and below to what the network takes without padding."""
    height, width = (length // multiple_of * multiple_of for length in window["lr_y"].shape[-2:])
    cut: Sample = {"quantiser": window["quantiser"]}
    for kind, unit in (("lr", 1), ("hr", scale)):
        for plane, half in (("y", 1), ("u", 2), ("v", 2)):
            array = window[f"{kind}_{plane}"]
            cut[f"{kind}_{plane}"] = array[..., : height * unit // half, : width * unit // half]
    return cut
