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
from collections import deque
from collections.abc import Mapping
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from decoder.adapted_artefact import MAX_CHANGE_FLOOR, MAX_CHANGE_RATIO, adaptable_shapes
from decoder.artefact import Artefact
from decoder.training.artefact_network import live_network
from decoder.training.delta_training import DeltaTraining, run_with
from decoder.training.held_out import HARM_DB, HeldOut, is_harmful
from decoder.training.metrics import psnr_db
from decoder.training.online_settings import OnlineSettings as OnlineSettings
from decoder.training.online_settings import Proposal as Proposal
from decoder.training.online_windows import without_padding
from decoder.training.patch_pool import PatchPool
from decoder.training.precision import fast_precision
from decoder.training.samples import Sample, to_batch
from decoder.training.trainer import TrainingCollapsed
from stream.errors import ConfigError, DeltaRefused
from stream.frame import Plane
from stream.weight_chain import WeightChain
from stream.weight_delta import DeltaHeader, decode_delta, encode_delta
from stream.weight_messages import LIVE_LIMITS

log = logging.getLogger(__name__)

LEAST_DB = 0.01
"""That a delta must gain beyond its price: less is not told from chance."""

COARSER = (1.0, 2.0, 4.0)
"""Steps of the proposal that is worth most, over those that were trained with: where little can be
gained, a few kilobytes bring most of it."""

_PLENTY_DB = 0.1
"""Beyond its price; then no coarser proposal is tried."""

_LOST_ROUNDS = 4
"""Rounds in a row that end worse than they began; then what was trained is given up."""


class OnlineTraining:
    """Learns one stream for one model. For one thread."""

    def __init__(
        self,
        artefact: Artefact,
        settings: OnlineSettings | None = None,
        *,
        device: str = "cpu",
        first_number: int = 0,
    ) -> None:
        """device: of torch. first_number: of the first delta, above all that the receiver has.

        Raises ConfigError when the model is not one that can be adapted."""
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
        self._chain, self._next_sequence = WeightChain(artefact.sha256), first_number
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
        self._held_out: deque[HeldOut] = deque(maxlen=self.settings.held_out)
        self._windows = 0
        self._training: DeltaTraining | None = None
        self._in_round, self._round_steps = 0, self.settings.first_round_steps
        self._lost_rounds = 0
        self._size: tuple[int, ...] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether there are windows enough to train and to prove by."""
        return bool(self._pool) and len(self._held_out) >= 2

    @property
    def is_round_over(self) -> bool:
        """Whether `propose` may have something."""
        return self._in_round >= self._round_steps

    def add(self, window: Sample) -> float:
        """Take a whole window with its original; PSNR-Y in dB of it as the receiver restores it.

        window: see `Sample`; pictures of another size than before make all begin anew, with the
        weights there are. One that is smaller than a patch raises ConfigError.
        """
        window = without_padding(
            window, self.artefact.manifest.multiple_of, self.artefact.manifest.scale
        )
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
            held = HeldOut(window=window, own_db=own_db, published_db=published_db)
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
                self._training.step(self._in_round / self._round_steps)
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
        self._in_round, self._round_steps = 0, self.settings.round_steps
        found: list[Proposal] = []
        for coarser in COARSER:
            candidate = self._candidate(self._training, coarser)
            if candidate is not None:
                found.append(candidate)
                if candidate.worth_db > _PLENTY_DB:
                    break
        self._training.begin_round()
        self._note_loss(self._training, found)
        worth = [each for each in found if each.worth_db > LEAST_DB and each.over_model_db > 0]
        best = max(worth, key=lambda each: each.worth_db, default=None)
        if self._is_harmful() and (best is None or best.over_model_db < HARM_DB):
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
        try:
            # What is proven is what the receiver will have, read and added up as it does.
            delta = decode_delta(coded, limits=LIVE_LIMITS, expected_shapes=self._shapes)
        except DeltaRefused as error:
            log.debug("not proposed: %s", error)
            return None
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
        return bool(self._chain.changes) and is_harmful(self._held_out)

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
    def _restored(self, window: Sample, weights: Mapping[str, Tensor]) -> Plane:
        """Luma (H, W) as levels of 8 bits."""
        self._network.eval()
        batch = to_batch([window]).to(self._device)
        # bfloat16 is 0.001 dB off, in whatever is compared alike.
        with fast_precision(self._device):
            luma = run_with(self._network, weights, batch)[0][0, 0].float()
        levels = (luma * 128 + 128).round().clamp(0, 255).to(torch.uint8)
        return np.asarray(levels.cpu().numpy())


def _luma(window: Sample) -> Plane:
    return np.asarray(window["hr_y"][0], np.uint8)


def _root_mean_square(weight: Tensor) -> float:
    return float(weight.square().mean().sqrt())
