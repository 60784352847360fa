"""The Restorer: LR frames in, HR frames out; window, features and backend together."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from decoder.artefact import Artefact, find_artefact, list_artefacts, load_artefact
from decoder.artefact_reference import Planes
from decoder.backends import Backend, BackendConfig, Features, backend_config, open_backend
from decoder.concealment import Concealment
from decoder.config import RestorerConfig
from decoder.edge_padding import crop_planes, pad_frame, padded_size
from decoder.lanczos import LanczosScaler
from decoder.model_choice import AUTO, LANCZOS, choose_artefact
from decoder.restorer_counts import RestorerCounts
from decoder.window import SlidingWindow, Window
from stream.errors import BackendError, EdvrError, InferenceFailed
from stream.frame import CLOCK_HZ, Frame, Size
from stream.scene_cut import SceneCutDetector
from stream.stats import Percentiles

log = logging.getLogger(__name__)

MAX_PTS_STEP = CLOCK_HZ
"""A gap of more than 1 s: whatever comes after it has moved on too far to be aligned."""

MAX_FAILURES = 3
"""Failures in a row after which the network is not tried any more."""

LOG_INTERVAL_S = 10.0
"""At most one line about failures in this time."""

_OPEN_SIZES = 3
"""Networks kept open: a stream that changes its size mostly returns to one it had before."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """An LR frame and its features; None when extracting them failed, or it is not to be shown."""

    frame: Frame
    features: Features | None
    is_held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Network:
    """A model open for one LR size."""

    artefact: Artefact
    backend: Backend
    padded: Size


class Restorer:
    """Restores one stream. Not thread-safe.

    The output size is fixed by the first frame: the largest of its aspect ratio inside
    `config.size`. When the LR size changes later, pictures are fitted to that same output size,
    since sinks cannot change theirs; another aspect ratio is then stretched.

    timings: milliseconds spent in "extract" and "fuse" (network) and "resize" (Lanczos).
    """

    def __init__(
        self, config: RestorerConfig, *, clock_s: Callable[[], float] = time.perf_counter
    ) -> None:
        """Raises ConfigError or ModelMismatch for an unknown or damaged model."""
        self._config = config
        self._clock_s = clock_s
        self._chosen: Artefact | None = None
        if config.model not in (AUTO, LANCZOS):
            self._chosen = find_artefact(config.model)
        self._backend_config: BackendConfig = backend_config(config.backend, threads=config.threads)
        self._networks: OrderedDict[Size, _Network | None] = OrderedDict()
        self._network: _Network | None = None
        self._window: SlidingWindow[_Seen] | None = None
        self._scaler: LanczosScaler | None = None
        self._hr_size: Size | None = None
        self._last: Frame | None = None
        self._cuts = SceneCutDetector(min_distance=0)
        self._concealment = Concealment()
        self._shown: Frame | None = None
        self._failures_in_a_row = 0
        self._has_given_up = False
        self._logged_s = float("-inf")
        self._restored = self._resized = self._failed = self._held = 0
        self.timings = {stage: Percentiles() for stage in ("extract", "fuse", "resize")}

    @property
    def model_name(self) -> str:
        """The model in use, "lanczos" for none, or what was asked for before the first frame."""
        if self._last is None and self._network is None:
            return self._config.model
        if self._network is None or self._has_given_up:
            return LANCZOS
        return self._network.artefact.manifest.name

    @property
    def backend_name(self) -> str | None:
        """The backend in use; None while there is none."""
        if self._network is None or self._has_given_up:
            return None
        return self._network.backend.name

    @property
    def output_size(self) -> Size | None:
        """Size of all frames out; None before the first frame in."""
        return self._hr_size

    @property
    def counts(self) -> RestorerCounts:
        """What became of all frames that came out so far."""
        return RestorerCounts(
            restored=self._restored, resized=self._resized, failed=self._failed, held=self._held
        )

    def prepare(self, lr_size: Size) -> None:
        """Open the network for a size before its first frame comes, which takes 0.3 to 1 s.

        Raises ConfigError or BackendError when it cannot be opened.
        """
        self._network_for(lr_size, hr_size=lr_size.fit_inside(self._config.size))

    def push(self, frame: Frame) -> list[Frame]:
        """Add the newest frame; HR frames that are ready, in order.

        Every frame in gives exactly one out, with its pts, colour and entered_ms, up to
        `lookahead` frames later. Raises ConfigError or BackendError when the network cannot be
        opened at the first frame; later failures fall back to Lanczos.
        """
        done: list[Frame] = []
        if self._last is None or frame.size != self._last.size:
            done = self.flush()
            self._open_for(frame.size)
        is_jump = self._last is not None and not 0 < frame.pts - self._last.pts <= MAX_PTS_STEP
        is_held, is_mended = self._concealment.judge(frame)
        is_cut = not is_held and self._cuts.push(frame)
        self._last = frame
        if self._window is None or self._has_given_up:
            done += self._drain()
            return [*done, self._again(frame) if is_held else self._by_lanczos(frame)]
        features = None if is_held else self._extract(frame)
        windows = self._window.push(
            _Seen(frame=frame, features=features, is_held=is_held),
            starts_scene=is_jump or is_cut or is_mended,
            is_usable=features is not None,
        )
        return done + [self._restore(window) for window in windows]

    def flush(self) -> list[Frame]:
        """The frames that still wait for a future; the next frame starts a new scene."""
        self._cuts.forget()
        return self._drain()

    def close(self) -> None:
        """Give the networks' memory back; frames not flushed are gone."""
        for network in self._networks.values():
            if network is not None:
                network.backend.close()
        self._networks.clear()
        self._network = self._window = None

    def _drain(self) -> list[Frame]:
        windows = self._window.flush() if self._window is not None else []
        return [self._restore(window) for window in windows]

    def _open_for(self, lr_size: Size) -> None:
        is_first = self._hr_size is None
        if self._hr_size is None:
            self._hr_size = lr_size.fit_inside(self._config.size)
            self._scaler = LanczosScaler(self._hr_size)
        try:
            self._network = self._network_for(lr_size, hr_size=self._hr_size)
        except EdvrError as error:
            if is_first:
                self._hr_size = None
                raise
            log.warning("frames of %s are only resized: %s", lr_size, error)
            self._network = None
            self._networks[lr_size] = None
        self._window = self._window_for(self._network) if self._network else None

    def _network_for(self, lr_size: Size, *, hr_size: Size) -> _Network | None:
        if lr_size not in self._networks:
            self._networks[lr_size] = self._open(lr_size, hr_size)
        self._networks.move_to_end(lr_size)
        while len(self._networks) > _OPEN_SIZES:
            oldest = self._networks.popitem(last=False)[1]
            if oldest is not None:
                oldest.backend.close()
        return self._networks[lr_size]

    def _open(self, lr_size: Size, hr_size: Size) -> _Network | None:
        artefact = self._chosen
        if self._config.model == AUTO:
            installed = list_artefacts()
            artefact = choose_artefact(installed, lr_size=lr_size, hr_size=hr_size)
            if not installed:
                log.warning("no model is installed, so frames are only resized")
            if artefact is not None:
                artefact = load_artefact(artefact.folder)
        if artefact is None:
            log.info("%s to %s by Lanczos", lr_size, hr_size)
            return None
        padded = padded_size(lr_size, multiple_of=artefact.manifest.multiple_of)
        backend = open_backend(self._backend_config, artefact, padded)
        self._backend_config = backend.config  # what auto found stands for other sizes too
        log.info("%s to %s by %s, %s", lr_size, hr_size, artefact.manifest.name, backend.name)
        return _Network(artefact=artefact, backend=backend, padded=padded)

    def _window_for(self, network: _Network) -> SlidingWindow[_Seen]:
        manifest = network.artefact.manifest
        lookahead, asked = manifest.lookahead, self._config.lookahead
        if asked is not None and asked > lookahead:
            log.warning("%s looks ahead %d frames, not %d", manifest.name, lookahead, asked)
        if asked is not None:
            lookahead = min(lookahead, asked)
        return SlidingWindow(
            size=manifest.window,
            reference_index=manifest.window - 1 - manifest.lookahead,
            lookahead=lookahead,
        )

    def _extract(self, frame: Frame) -> Features | None:
        assert self._network is not None
        started_s = self._clock_s()
        try:
            features = self._network.backend.extract(pad_frame(frame, self._network.padded))
        except InferenceFailed as error:
            self._note_failure(error)
            return None
        self._time("extract", started_s)
        return features

    def _restore(self, window: Window[_Seen]) -> Frame:
        reference = window.reference.frame
        if window.reference.is_held:
            return self._again(reference)
        planes = self._fuse(window) if not self._has_given_up else None
        if planes is None:
            self._failed += 1
            return self._by_lanczos(reference, is_wanted=False)
        self._failures_in_a_row = 0
        self._restored += 1
        y, u, v = planes
        return self._resize(replace(reference, y=y, u=u, v=v, quantiser=None))

    def _again(self, frame: Frame) -> Frame:
        """The last good picture at the time of a damaged one."""
        assert self._shown is not None  # there was a good frame before, and windows keep the order
        self._held += 1
        return replace(self._shown, pts=frame.pts, entered_ms=frame.entered_ms, is_damaged=True)

    def _fuse(self, window: Window[_Seen]) -> Planes | None:
        features = [seen.features for seen in window.items if seen.features is not None]
        if not features:
            return None
        assert self._network is not None
        started_s = self._clock_s()
        try:
            planes = self._network.backend.fuse(features)
        except InferenceFailed as error:
            self._note_failure(error)
            return None
        self._time("fuse", started_s)
        scale = self._network.artefact.manifest.scale
        lr_size = window.reference.frame.size
        return crop_planes(planes, Size(width=lr_size.width * scale, height=lr_size.height * scale))

    def _by_lanczos(self, frame: Frame, *, is_wanted: bool = True) -> Frame:
        self._resized += is_wanted
        return replace(self._resize(frame), quantiser=None)

    def _resize(self, frame: Frame) -> Frame:
        assert self._scaler is not None
        started_s = self._clock_s()
        self._shown = self._scaler.scale(frame)
        if self._shown is not frame:
            self._time("resize", started_s)
        return self._shown

    def _time(self, stage: str, started_s: float) -> None:
        self.timings[stage].add((self._clock_s() - started_s) * 1000)

    def _note_failure(self, error: BackendError) -> None:
        self._failures_in_a_row += 1
        self._has_given_up = self._failures_in_a_row >= MAX_FAILURES
        now_s = self._clock_s()
        if self._has_given_up:
            log.error(
                "the network failed %d times in a row, only resizing: %s", MAX_FAILURES, error
            )
        elif now_s - self._logged_s >= LOG_INTERVAL_S:
            self._logged_s = now_s
            log.warning("a frame is only resized, since the network failed: %s", error)
