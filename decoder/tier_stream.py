"""One tier of restoration on one stream: LR frames in, finished HR frames out, one for each.

A tier is a network, or the classical upscaler below all networks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from decoder.adapted_artefact import AdaptedArtefact
from decoder.artefact import Artefact
from decoder.artefact_reference import Planes
from decoder.backends.contract import Backend, Features
from decoder.edge_padding import crop_planes, pad_frame
from decoder.lanczos import LanczosScaler
from decoder.model_choice import LANCZOS
from decoder.window import SlidingWindow, Window
from stream.errors import BackendError, InferenceFailed
from stream.frame import Frame, Size
from stream.stats import Percentiles

log = logging.getLogger(__name__)

MAX_FAILURES = 3
"""Failures in a row after which no network is tried any more."""

LOG_INTERVAL_S = 10.0
"""At most one line about failures in this time."""

Fate = Literal["restored", "resized", "failed", "held"]
"""By a network; by Lanczos as wanted; by Lanczos since the network failed; not to be shown."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Done:
    """An HR frame, what became of it, and the tier it is from; a held one stays an LR frame."""

    frame: Frame
    fate: Fate
    tier: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenNetwork:
    """A model open for one LR size; padded: that size in the model's multiples."""

    artefact: Artefact
    backend: Backend
    padded: Size


class Tier(Protocol):
    """Takes one stream's frames in order. Not thread-safe."""

    @property
    def name(self) -> str:
        """The model, or "lanczos"."""

    @property
    def backend_name(self) -> str | None:
        """The backend; None without a network."""

    @property
    def weights_name(self) -> str | None:
        """What the model was adapted by; None for the weights it was published with."""

    def push(self, frame: Frame, *, starts_scene: bool, is_held: bool = False) -> list[Done]:
        """Add the newest frame; those that are finished now, in order.

        is_held: it is damaged, neither to be shown nor to be used for others.
        """

    def flush(self) -> list[Done]:
        """Those that still wait for a future; the next frame starts a new scene."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What all tiers of one stream share: stage times in ms, and the failures of networks."""

    clock_s: Callable[[], float] = time.perf_counter
    timings: Mapping[str, Percentiles] = field(
        default_factory=lambda: {stage: Percentiles() for stage in ("extract", "fuse", "resize")}
    )
    has_given_up: bool = False
    failures_in_a_row: int = 0
    logged_s: float = float("-inf")

    def time(self, stage: str, started_s: float) -> None:
        """A stage that began at `started_s` is over."""
        self.timings[stage].add((self.clock_s() - started_s) * 1000)

    def note_failure(self, error: BackendError) -> None:
        """A network failed on a frame: give up after too many in a row, and say so sometimes."""
        self.failures_in_a_row += 1
        self.has_given_up = self.failures_in_a_row >= MAX_FAILURES
        now_s = self.clock_s()
        if self.has_given_up:
            log.error(
                "the network failed %d times in a row, only resizing: %s", MAX_FAILURES, error
            )
        elif now_s - self.logged_s >= LOG_INTERVAL_S:
            self.logged_s = now_s
            log.warning("a frame is only resized, since the network failed: %s", error)


class LanczosTier:
    """The classical upscaler: no network and no delay. Also resizes for the other tiers."""

    name = LANCZOS
    backend_name = None
    weights_name = None

    def __init__(self, size: Size, tally: Tally) -> None:
        """size: of all frames out. Raises FrameError when it is odd."""
        self._scaler, self._tally = LanczosScaler(size), tally

    def push(self, frame: Frame, *, starts_scene: bool, is_held: bool = False) -> list[Done]:
        """See `Tier.push`."""
        del starts_scene
        if is_held:
            return [Done(frame=frame, fate="held", tier=self.name)]
        return [self.done(frame, fate="resized")]

    def flush(self) -> list[Done]:
        """See `Tier.flush`."""
        return []

    def done(self, frame: Frame, *, fate: Fate) -> Done:
        """An LR frame, enlarged."""
        return Done(frame=replace(self.fit(frame), quantiser=None), fate=fate, tier=self.name)

    def fit(self, frame: Frame) -> Frame:
        """A frame of any size in the size of the output."""
        started_s = self._tally.clock_s()
        fitted = self._scaler.scale(frame)
        if fitted is not frame:
            self._tally.time("resize", started_s)
        return fitted


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """An LR frame and its features; None when extracting them failed, or it is not to be shown."""

    frame: Frame
    features: Features | None
    is_held: bool


class NetworkTier:
    """A network over a sliding window; a frame that it fails on comes out by Lanczos."""

    def __init__(
        self, network: OpenNetwork, resizer: LanczosTier, tally: Tally, *, lookahead: int | None
    ) -> None:
        """lookahead: frames to wait for, at most as many as the model has, or None for those."""
        self._network, self._resizer, self._tally = network, resizer, tally
        manifest = network.artefact.manifest
        self._window: SlidingWindow[_Seen] = SlidingWindow(
            size=manifest.window,
            reference_index=manifest.window - 1 - manifest.lookahead,
            lookahead=manifest.lookahead
            if lookahead is None
            else min(manifest.lookahead, lookahead),
        )

    @property
    def name(self) -> str:
        """See `Tier.name`."""
        return self._network.artefact.manifest.name

    @property
    def backend_name(self) -> str:
        """See `Tier.backend_name`."""
        return self._network.backend.name

    @property
    def weights_name(self) -> str | None:
        """See `Tier.weights_name`."""
        artefact = self._network.artefact
        return artefact.weights_name if isinstance(artefact, AdaptedArtefact) else None

    def push(self, frame: Frame, *, starts_scene: bool, is_held: bool = False) -> list[Done]:
        """See `Tier.push`."""
        features = None if is_held else self._extract(frame)
        windows = self._window.push(
            _Seen(frame=frame, features=features, is_held=is_held),
            starts_scene=starts_scene,
            is_usable=features is not None,
        )
        return [self._restore(window) for window in windows]

    def flush(self) -> list[Done]:
        """See `Tier.flush`."""
        return [self._restore(window) for window in self._window.flush()]

    def _extract(self, frame: Frame) -> Features | None:
        started_s = self._tally.clock_s()
        try:
            features = self._network.backend.extract(pad_frame(frame, self._network.padded))
        except InferenceFailed as error:
            self._tally.note_failure(error)
            return None
        self._tally.time("extract", started_s)
        return features

    def _restore(self, window: Window[_Seen]) -> Done:
        reference = window.reference.frame
        if window.reference.is_held:
            return Done(frame=reference, fate="held", tier=self.name)
        planes = self._fuse(window) if not self._tally.has_given_up else None
        if planes is None:
            return self._resizer.done(reference, fate="failed")
        self._tally.failures_in_a_row = 0
        y, u, v = planes
        restored = self._resizer.fit(replace(reference, y=y, u=u, v=v, quantiser=None))
        return Done(frame=restored, fate="restored", tier=self.name)

    def _fuse(self, window: Window[_Seen]) -> Planes | None:
        features = [seen.features for seen in window.items if seen.features is not None]
        if not features:
            return None
        started_s = self._tally.clock_s()
        try:
            planes = self._network.backend.fuse(features)
        except InferenceFailed as error:
            self._tally.note_failure(error)
            return None
        self._tally.time("fuse", started_s)
        scale = self._network.artefact.manifest.scale
        lr_size = window.reference.frame.size
        return crop_planes(planes, Size(width=lr_size.width * scale, height=lr_size.height * scale))
