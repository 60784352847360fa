"""Where a receiver's Restorers come from: shared engines, one open in advance, and calibration.

A machine that was never calibrated starts at once with what a short trial finds, and measures when
nobody has published for a while; a publisher that comes meanwhile ends the measuring. What was
measured is kept and used from then on.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from decoder.adapted_artefact import AdaptedWeights, own_weights
from decoder.artefact import Artefact, find_artefact, list_artefacts
from decoder.backends.engine_pool import EnginePool
from decoder.calibrate import calibrate, is_complete, models_for, usual_lr_sizes
from decoder.calibration import Calibration, stream_capacity
from decoder.calibration_cache import load_calibration, save_calibration
from decoder.config import RestorerConfig
from decoder.model_choice import AUTO, LANCZOS
from decoder.profile_source import load_scene_weights
from decoder.restorer import Restorer
from stream.errors import EdvrError

_log = logging.getLogger(__name__)

IDLE_BEFORE_CALIBRATION_S = 10.0
"""Without a publisher: right after the start one often comes at once, and needs the cores."""

UNMEASURED_STREAMS = 8
"""Streams that are let in before it is known how many the machine can restore."""

_POLL_S = 0.5


class RestorerSupply:
    """One receiver's. Its coroutines belong to one event loop; `take` may be called from any."""

    def __init__(self, config: RestorerConfig, *, profiles: tuple[str, ...] = ()) -> None:
        """profiles: files or URLs of weights for the model; of several, each for its scenes."""
        self._config, self._profiles = config, profiles
        self._weights: AdaptedWeights | None = None
        self._bases: dict[str, str | None] = {}
        self._scenes: tuple[AdaptedWeights, ...] = ()
        self._engines = EnginePool()
        self._calibration = Calibration()
        self._spare: Restorer | None = None
        self._closing = threading.Event()

    async def open(self) -> None:
        """Open networks for a half and a quarter of the output, the usual senders'.

        So the first picture does not wait for it. Takes a second or two. Raises ConfigError or
        BackendError when the model or the profile cannot be used.
        """
        if self._profiles:
            model = self._config.model
            loaded = await asyncio.to_thread(load_scene_weights, self._profiles, model)
            self._weights = next((each for each in loaded if each.scene is None), None)
            self._scenes = tuple(each for each in loaded if each.scene is not None)
        self._calibration = await asyncio.to_thread(load_calibration)
        self._spare = await asyncio.to_thread(self._prepared)

    def take(self) -> Callable[[], Restorer]:
        """What gives the next stream its Restorer, on the thread that will use it."""
        spare = self._taken_spare()
        return self._prepared if spare is None else partial(_given, spare)

    def models(self) -> dict[str, Artefact]:
        """Models that may be in use, by SHA-256."""
        if self._config.model == LANCZOS:
            return {}
        is_auto = self._config.model == AUTO
        known = list_artefacts() if is_auto else [find_artefact(self._config.model)]
        return {artefact.sha256: artefact for artefact in known}

    def base_of(self, model: str | None) -> str | None:
        """SHA-256 of a model in use, by name, that weights may be sent for; None for any other.

        A model of single frames has the weights of another, so only that one is worth learning.
        """
        if model is not None and model not in self._bases:
            named = {
                each.manifest.name: sha256
                for sha256, each in self.models().items()
                if each.manifest.window > 1
            }
            self._bases[model] = named.get(model)
        return None if model is None else self._bases[model]

    def usual_weights(self, base_sha256: str) -> tuple[AdaptedWeights, ...]:
        """What a model has before a sender changes it: the profiles' weights, or its own."""
        usual = self._weights or own_weights(base_sha256)
        return replace(usual, starts_anew=True), *self._scenes

    @property
    def stream_limit(self) -> int:
        """How many streams this machine restores by a network at the same time; at least 1."""
        config, sizes = self._config, usual_lr_sizes(self._config.size)
        ladders = [models_for(config, lr_size) for lr_size in sizes]
        cheapest = [models[-1] for models in ladders if models]
        capacity = None
        if len(cheapest) == len(sizes):
            capacity = stream_capacity(
                cheapest,
                self._calibration,
                sizes,
                threads=config.threads,
                backend=config.backend,
            )
        return UNMEASURED_STREAMS if capacity is None else capacity

    async def calibrate_when_idle(self, is_idle: Callable[[], bool]) -> None:
        """Measure what is not known yet, once nobody publishes; returns when it is all known."""
        if self._config.model == LANCZOS or is_complete(self._config, self._calibration):
            return
        while not self._closing.is_set():
            idle_s = 0.0
            while idle_s < IDLE_BEFORE_CALIBRATION_S:
                await asyncio.sleep(_POLL_S)
                idle_s = idle_s + _POLL_S if is_idle() else 0.0
            _log.info("measuring which model and backend this machine can run")
            was_stopped = threading.Event()

            def is_stopped(note: threading.Event = was_stopped) -> bool:
                if self._closing.is_set() or not is_idle():
                    note.set()
                return note.is_set()

            known = await asyncio.to_thread(
                calibrate, self._config, self._calibration, is_stopped=is_stopped
            )
            await asyncio.to_thread(save_calibration, known)
            self._calibration = known
            if not was_stopped.is_set():
                await self._renew_spare()
                return

    def close(self) -> None:
        """End measuring at the next frame; give back what no stream has taken."""
        self._closing.set()
        spare = self._taken_spare()
        if spare is not None:
            spare.close()
        self._engines.close()

    async def _renew_spare(self) -> None:
        """Open the networks that are now known to be best; the old ones serve if that fails."""
        if self._spare is None:
            return
        try:
            spare = await asyncio.to_thread(self._prepared)
        except EdvrError as error:
            _log.warning("the models stay as they were: %s", error)
            return
        old = self._taken_spare()
        if old is None or self._closing.is_set():  # a publisher was faster, or it is all over
            spare.close()
            return
        old.close()
        self._spare = spare

    def _taken_spare(self) -> Restorer | None:
        spare, self._spare = self._spare, None
        return spare

    def _prepared(self) -> Restorer:
        restorer = Restorer(
            self._config,
            engines=self._engines,
            calibration=self._calibration,
            weights=self._weights,
            scenes=self._scenes,
            opens_beside=True,  # a stream that changes its size goes on meanwhile
        )
        try:
            for lr_size in usual_lr_sizes(self._config.size):
                restorer.prepare(lr_size)
        except EdvrError:
            restorer.close()
            raise
        return restorer


def _given(restorer: Restorer) -> Restorer:
    return restorer
