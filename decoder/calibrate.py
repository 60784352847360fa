"""Measures every model on every installed backend at the sizes that a receiver will get.

The cheapest models come first, and a backend that was far slower on one than another backend is
not tried on larger ones: within its time the measuring finds what matters first. It ends between
two frames when it is told to.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from decoder.artefact import Artefact, find_artefact, list_artefacts
from decoder.backends import backend_config, open_backend
from decoder.backends.contract import INSTALLABLE, INT8, BackendName
from decoder.backends.warm_up import noise_frame
from decoder.calibration import Calibration, Measurement, artefact_key
from decoder.config import RestorerConfig
from decoder.edge_padding import padded_size
from decoder.lanczos import LanczosScaler
from decoder.model_choice import AUTO, LANCZOS, TIERS, choose_artefacts
from stream.errors import BackendError, BackendUnavailable
from stream.frame import Size

_log = logging.getLogger(__name__)

BUDGET_S = 10.0
"""For everything; what is not measured by then is measured the next time."""

FRAME_BUDGET_S = 0.6
"""For timing one model on one backend, after opening it."""

FEWEST_FRAMES, MOST_FRAMES = 5, 40

HOPELESS = 2.0
"""Times the fastest backend of a cheaper model: not worth trying on a larger one."""

NEVER_MS = 400.0
"""A frame that takes this long is ten times too late: one more says enough."""

_SHARES = (2, 4)
"""The usual senders send a half or a quarter of the output."""


def usual_lr_sizes(hr_size: Size) -> tuple[Size, ...]:
    """A half and a quarter of an output, in even sides."""
    return tuple(
        Size(
            width=max(2, hr_size.width // share // 2 * 2),
            height=max(2, hr_size.height // share // 2 * 2),
        )
        for share in _SHARES
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    artefact: Artefact
    backend: BackendName
    lr_size: Size


def models_for(config: RestorerConfig, lr_size: Size) -> list[Artefact]:
    """What may restore frames of a size here, best first; ConfigError for an unknown model."""
    if config.model == LANCZOS:
        return []
    if config.model != AUTO:
        return [find_artefact(config.model)]
    hr_size = lr_size.fit_inside(config.size)
    return choose_artefacts(list_artefacts(), lr_size=lr_size, hr_size=hr_size, best_tier=TIERS[0])


def is_complete(config: RestorerConfig, known: Calibration) -> bool:
    """Whether some backend of every model that the receiver may need has been measured."""
    return all(
        known.of(trial.artefact, trial.lr_size, threads=config.threads) for trial in _trials(config)
    )


def calibrate(
    config: RestorerConfig,
    known: Calibration,
    *,
    is_stopped: Callable[[], bool] = lambda: False,
    budget_s: float = BUDGET_S,
    clock_s: Callable[[], float] = time.perf_counter,
) -> Calibration:
    """`known` with what could be measured anew before the time was up or `is_stopped` said so."""
    end_s = clock_s() + budget_s

    def is_over() -> bool:
        return is_stopped() or clock_s() >= end_s

    for lr_size in usual_lr_sizes(config.size):
        known = known.with_measurement(_time_lanczos(lr_size, config))
    refused: set[tuple[str, str]] = set()
    fastest_ms: dict[Size, float] = {}
    hopeless: set[tuple[Size, str]] = set()
    for trial in _trials(config):
        if is_over():
            break
        name = trial.artefact.manifest.name
        if (trial.lr_size, trial.backend) in hopeless or (trial.backend, name) in refused:
            continue
        try:
            measurement = _time_model(trial, config, is_over)
        except BackendUnavailable:
            refused |= {(trial.backend, each.artefact.manifest.name) for each in _trials(config)}
            continue
        except BackendError as error:
            _log.warning("%s is not used for %s: %s", trial.backend, name, error)
            refused.add((trial.backend, name))
            continue
        if measurement is None:
            break
        known = known.with_measurement(measurement)
        best_ms = min(fastest_ms.get(trial.lr_size, measurement.p50_ms), measurement.p50_ms)
        fastest_ms[trial.lr_size] = best_ms
        if measurement.p50_ms > HOPELESS * best_ms:
            hopeless.add((trial.lr_size, trial.backend))
    return known


def _trials(config: RestorerConfig) -> Iterator[_Trial]:
    """What is to be measured, in order."""
    backends: tuple[BackendName, ...] = INSTALLABLE if config.backend == AUTO else (config.backend,)
    for lr_size in usual_lr_sizes(config.size):
        for artefact in reversed(models_for(config, lr_size)):
            for backend in backends:
                if backend == INT8 and not artefact.has_int8:
                    continue
                yield _Trial(artefact=artefact, backend=backend, lr_size=lr_size)


def _time_model(
    trial: _Trial, config: RestorerConfig, is_over: Callable[[], bool]
) -> Measurement | None:
    """None when it was stopped before enough frames were timed."""
    manifest = trial.artefact.manifest
    padded = padded_size(trial.lr_size, multiple_of=manifest.multiple_of)
    backend = open_backend(
        backend_config(trial.backend, threads=config.threads), trial.artefact, padded
    )
    try:
        frame = noise_frame(padded)
        ring = [backend.extract(frame)] * manifest.window

        def restore() -> None:
            ring[:] = [*ring[1:], backend.extract(frame)]
            backend.fuse(ring)

        took_ms = _time_frames(restore, is_over)
    finally:
        backend.close()
    if took_ms is None:
        return None
    return Measurement(
        model=manifest.name,
        key=artefact_key(trial.artefact),
        backend=trial.backend,
        threads=config.threads,
        lr_size=str(padded),
        p50_ms=round(float(np.percentile(took_ms, 50)), 2),
        p95_ms=round(float(np.percentile(took_ms, 95)), 2),
    )


def _time_lanczos(lr_size: Size, config: RestorerConfig) -> Measurement:
    scaler, frame = LanczosScaler(lr_size.fit_inside(config.size)), noise_frame(lr_size)
    took_ms = _time_frames(lambda: scaler.scale(frame), lambda: False, budget_s=0.05) or [0.0]
    return Measurement(
        model=LANCZOS,
        key="",
        backend="swscale",
        threads=1,
        lr_size=str(lr_size),
        p50_ms=round(float(np.percentile(took_ms, 50)), 2),
        p95_ms=round(float(np.percentile(took_ms, 95)), 2),
    )


def _time_frames(
    restore: Callable[[], object],
    is_over: Callable[[], bool],
    *,
    budget_s: float = FRAME_BUDGET_S,
) -> list[float] | None:
    restore()  # the first one allocates
    took_ms: list[float] = []
    started_s = time.perf_counter()
    while len(took_ms) < MOST_FRAMES:
        is_enough = len(took_ms) >= FEWEST_FRAMES or any(ms > NEVER_MS for ms in took_ms[1:])
        if is_enough and time.perf_counter() - started_s >= budget_s:
            break
        if not is_enough and is_over():
            return None
        before_s = time.perf_counter()
        restore()
        took_ms.append(1000 * (time.perf_counter() - before_s))
    return took_ms
