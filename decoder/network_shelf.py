"""Open networks by LR size: opened when a size comes, or beside whatever runs meanwhile."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from decoder.adapted_artefact import AdaptedArtefact, AdaptedWeights, adapt_artefact
from decoder.artefact import Artefact, list_artefacts, load_artefact
from decoder.backends.contract import AutoConfig, Backend, BackendConfig
from decoder.backends.engine_pool import EnginePool
from decoder.calibration import Calibration
from decoder.config import RestorerConfig
from decoder.edge_padding import padded_size
from decoder.model_choice import AUTO
from decoder.tier_choice import TierChoice, choose_tiers, tier_costs_ms
from decoder.tier_stream import OpenNetwork
from stream.errors import BackendError, EdvrError
from stream.frame import Size

log = logging.getLogger(__name__)

OPEN_SIZES = 4
"""Sizes with networks kept open: the rungs of a ladder. A stream mostly returns to an old one."""

Networks = tuple[OpenNetwork, ...]
"""For one LR size, the best tier first; none means Lanczos."""


class NetworkShelf:
    """One stream's networks. Used by one thread; opening beside it takes another."""

    def __init__(
        self,
        config: RestorerConfig,
        *,
        chosen: Artefact | None,
        engines: EnginePool,
        calibration: Calibration,
        weights: AdaptedWeights | None = None,
    ) -> None:
        """chosen: the only model to use; None for what the configuration says.

        weights: for whichever model they are for, instead of its own.
        """
        self._weights = weights
        self._config, self._chosen = config, chosen
        self._engines, self._calibration = engines, calibration
        self._found: BackendConfig | None = None
        self._open: OrderedDict[Size, Networks] = OrderedDict()
        self._opening: dict[Size, Future[Networks]] = {}
        self._beside: ThreadPoolExecutor | None = None
        self._costs_ms: dict[str, float] = {}

    @property
    def costs_ms(self) -> Mapping[str, float]:
        """What a frame takes when nothing disturbs, by model, as far as it was ever measured."""
        return self._costs_ms

    @property
    def weights(self) -> AdaptedWeights | None:
        """What a model has instead of its own; None for the models as they were published."""
        return self._weights

    @property
    def sizes(self) -> tuple[Size, ...]:
        """LR sizes that are open, the latest last."""
        return tuple(self._open)

    def get(self, lr_size: Size, *, hr_size: Size) -> Networks:
        """Those for a size; opening one takes 0.3 to 1 s.

        Raises ConfigError or BackendError when one cannot be opened.
        """
        networks = self._open.get(lr_size)
        if networks is None:
            networks = self._open_all(lr_size, hr_size)
        return self._kept(lr_size, networks)

    def get_soon(self, lr_size: Size, *, hr_size: Size) -> Networks | None:
        """As `get`, but None while they are being opened on another thread: ask again."""
        networks = self._open.get(lr_size)
        if networks is None:
            if lr_size not in self._opening:
                self._opening[lr_size] = self._executor().submit(self._open_all, lr_size, hr_size)
            if not self._opening[lr_size].done():
                return None
            networks = self._opening.pop(lr_size).result()
        return self._kept(lr_size, networks)

    def open_beside(self, lr_size: Size, weights: AdaptedWeights) -> Future[Networks]:
        """Those of an open size once more, with other weights, opened on another thread.

        Models that the weights are not for have their own. The result goes to `replace` or
        `discard`; it may fail with DeltaRefused or BackendError.
        """
        return self._executor().submit(self._opened_with, weights, self._open[lr_size])

    def open_scene(
        self, lr_size: Size, weights: AdaptedWeights
    ) -> Future[Mapping[int, OpenNetwork]]:
        """As `open_beside`, but by tier only those that these weights are for."""
        usual = self._open[lr_size]

        def opened() -> Mapping[int, OpenNetwork]:
            pairs = zip(self._opened_with(weights, usual), usual, strict=True)
            return {index: new for index, (new, old) in enumerate(pairs) if new is not old}

        return self._executor().submit(opened)

    def replace(self, lr_size: Size, networks: Networks, weights: AdaptedWeights) -> Networks:
        """Take what `open_beside` gave for a size; other sizes get these weights when they return.

        What the size had before goes to `discard` once nobody uses it.
        """
        before, self._weights = self._open.pop(lr_size), weights
        while self._open:
            _close(self._open.popitem()[1])
        for opening in self._opening.values():
            opening.add_done_callback(_close_result)
        self._opening.clear()
        self._open[lr_size] = networks
        return before

    def discard(self, networks: Networks) -> None:
        """Close those of them that are not open for any size, and forget their weights."""
        self._give_back(self._unused(networks))

    def discard_beside(self, networks: Networks) -> None:
        """As `discard`, on another thread: the engines may be busy opening another stream's."""
        self._executor().submit(self._give_back, self._unused(networks))

    def _unused(self, networks: Networks) -> Networks:
        kept = [id(network) for open_ones in self._open.values() for network in open_ones]
        return tuple(network for network in networks if id(network) not in kept)

    def _give_back(self, networks: Networks) -> None:
        _close(networks)
        for network in networks:
            if isinstance(network.artefact, AdaptedArtefact):
                self._engines.forget(network.artefact)

    def give_up(self, lr_size: Size) -> None:
        """Do not try again to open networks for this size."""
        self._kept(lr_size, ())

    def close(self) -> None:
        """Close all of them, also those that are still being opened."""
        if self._beside is not None:
            self._beside.shutdown(cancel_futures=True)
        for opening in self._opening.values():
            _close_result(opening)
        for networks in self._open.values():
            _close(networks)
        self._opening.clear()
        self._open.clear()

    def _executor(self) -> ThreadPoolExecutor:
        if self._beside is None:
            self._beside = ThreadPoolExecutor(1, thread_name_prefix="open networks")
        return self._beside

    def _opened_with(self, weights: AdaptedWeights, networks: Networks) -> Networks:
        opened: list[OpenNetwork] = []
        try:
            for network in networks:
                base = network.artefact
                base = base.base if isinstance(base, AdaptedArtefact) else base
                artefact = _with_weights(base, weights)
                if artefact is network.artefact:
                    opened.append(network)
                    continue
                backend = self._engines.open(network.backend.config, artefact, network.padded)
                opened.append(replace(network, artefact=artefact, backend=backend))
        except EdvrError:
            _close(tuple(new for new in opened if new not in networks))
            raise
        return tuple(opened)

    def _kept(self, lr_size: Size, networks: Networks) -> Networks:
        self._open[lr_size] = networks
        self._open.move_to_end(lr_size)
        while len(self._open) > OPEN_SIZES:
            _close(self._open.popitem(last=False)[1])
        return networks

    def _open_all(self, lr_size: Size, hr_size: Size) -> Networks:
        installed = [self._chosen] if self._chosen is not None else []
        if self._config.model == AUTO:
            installed = list_artefacts()
            if not installed:
                log.warning("no model is installed, so frames are only resized")
        choices = choose_tiers(
            self._config, installed, self._calibration, lr_size=lr_size, hr_size=hr_size
        )
        if not choices:
            log.info("%s to %s by Lanczos", lr_size, hr_size)
        self._costs_ms |= tier_costs_ms(choices, self._calibration, lr_size)
        opened: list[OpenNetwork] = []
        try:
            for choice in choices:
                opened.append(self._open_one(choice, lr_size, hr_size))  # noqa: PERF401 (see below)
        except EdvrError:
            _close(tuple(opened))  # which a comprehension would have lost
            raise
        weights = self._weights
        is_adapted = any(isinstance(network.artefact, AdaptedArtefact) for network in opened)
        if weights is not None and weights.changes and not is_adapted:
            log.warning("%s is for no model that is used for %s", weights.label, lr_size)
        return tuple(opened)

    def _open_one(self, choice: TierChoice, lr_size: Size, hr_size: Size) -> OpenNetwork:
        artefact = choice.artefact
        if artefact is not self._chosen:
            artefact = load_artefact(artefact.folder)
        artefact = _with_weights(artefact, self._weights)
        padded = padded_size(lr_size, multiple_of=artefact.manifest.multiple_of)
        wanted = choice.backend
        if isinstance(wanted, AutoConfig):
            wanted = self._found or wanted  # what auto found stands for other sizes too
        backend = self._open_engine(wanted, artefact, padded)
        self._found = backend.config
        log.info("%s to %s by %s, %s", lr_size, hr_size, artefact.manifest.name, backend.name)
        return OpenNetwork(artefact=artefact, backend=backend, padded=padded)

    def _open_engine(self, wanted: BackendConfig, artefact: Artefact, padded: Size) -> Backend:
        try:
            return self._engines.open(wanted, artefact, padded)
        except BackendError as error:
            if self._config.backend != AUTO or isinstance(wanted, AutoConfig):
                raise
            log.warning("trying the other backends: %s", error)
            auto = AutoConfig(threads=self._config.threads)
            return self._engines.open(auto, artefact, padded)


def _with_weights(base: Artefact, weights: AdaptedWeights | None) -> Artefact:
    """`base` with these weights if they are for it and change anything; else itself."""
    if weights is None or weights.base_sha256 != base.sha256 or not weights.changes:
        return base
    return adapt_artefact(base, weights)


def _close_result(opening: Future[Networks]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        _close(opening.result())


def _close(networks: Networks) -> None:
    for network in networks:
        network.backend.close()
