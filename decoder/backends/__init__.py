"""Backends: inference libraries behind one Protocol (`decoder.backends.contract`).

The libraries are imported only inside the functions that open them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import assert_never

from decoder.adapted_artefact import AdaptedArtefact
from decoder.artefact import Artefact
from decoder.backends.contract import (
    INSTALLABLE,
    INT8,
    AutoConfig,
    Backend,
    BackendConfig,
    BackendName,
    Features,
    LibraryConfig,
    OnnxRuntimeConfig,
    OnnxRuntimeGpuConfig,
    OpenVinoConfig,
    TensorRtConfig,
    TorchConfig,
    backend_config,
)
from decoder.backends.graph_memory import most_pixels
from decoder.backends.self_check import check_adapted, check_reference
from decoder.backends.tiled import TiledBackend
from decoder.backends.tiling import tile_grid
from decoder.backends.warm_up import noise_frame
from stream.errors import BackendError, BackendUnavailable, ConfigError, ModelMismatch
from stream.frame import Size

__all__ = [
    "AutoConfig",
    "Backend",
    "BackendConfig",
    "BackendName",
    "Features",
    "OnnxRuntimeConfig",
    "OnnxRuntimeGpuConfig",
    "OpenVinoConfig",
    "TensorRtConfig",
    "TorchConfig",
    "backend_config",
    "open_backend",
]

log = logging.getLogger(__name__)

_TRIAL_FRAMES = 3
"""Timed per backend, after one to warm up."""

_TRIAL_BUDGET_MS = 150.0
"""No further frame is timed once this is spent: a slow backend must not delay the start."""

_ALWAYS_INSTALLED = ("openvino", "onnxruntime")
"""That others are missing, or their devices, is nothing to speak of."""

_reproduced: set[tuple[BackendConfig, str]] = set()
"""Which models' references were reproduced in this process, by SHA-256."""

_FAST_ENOUGH_MS = 16.0
"""A backend that makes 60 frames a second is taken without trying the others."""


def open_backend(config: BackendConfig, artefact: Artefact, lr_size: Size) -> Backend:
    """Open a network for LR frames of `lr_size`, after it has reproduced the reference picture.

    Where the memory is too small for frames of that size it restores them in tiles.

    Raises ConfigError when the size is not a multiple of what the model needs, BackendUnavailable
    when the library is not installed, ModelMismatch when the engine computes something else.
    """
    multiple_of = artefact.manifest.multiple_of
    if lr_size.width % multiple_of or lr_size.height % multiple_of:
        raise ConfigError(
            f"model {artefact.manifest.name} takes sizes in multiples of {multiple_of},"
            f" got {lr_size}"
        )
    if isinstance(config, AutoConfig):
        return _open_fastest(config, artefact, lr_size)
    pixels = most_pixels(artefact, config, lr_size)
    if pixels is None or lr_size.width * lr_size.height <= pixels:
        return _open_whole(config, artefact, lr_size)
    grid = tile_grid(lr_size, most_pixels=pixels, multiple_of=multiple_of)
    log.info("%s is restored in %d tiles of %s", lr_size, len(grid), grid.size)
    tile = _open_whole(config, artefact, grid.size)
    return TiledBackend(tile, grid, lr_size, scale=artefact.manifest.scale)


def _open_whole(config: LibraryConfig, artefact: Artefact, lr_size: Size) -> Backend:
    match config:
        case OnnxRuntimeConfig():
            from decoder.backends.onnxruntime_cpu import OnnxRuntimeBackend

            return _open_checked(config, partial(OnnxRuntimeBackend, config), artefact, lr_size)
        case OpenVinoConfig():
            from decoder.backends.openvino_device import OpenVinoBackend

            return _open_checked(config, partial(OpenVinoBackend, config), artefact, lr_size)
        case OnnxRuntimeGpuConfig():
            from decoder.backends.onnxruntime_gpu import OnnxRuntimeGpuBackend

            return _open_checked(config, partial(OnnxRuntimeGpuBackend, config), artefact, lr_size)
        case TorchConfig():
            from decoder.backends.torch_graph import TorchBackend

            return _open_checked(config, partial(TorchBackend, config), artefact, lr_size)
        case TensorRtConfig():
            from decoder.backends.tensorrt_gpu import TensorRtBackend

            # One engine for both sizes, so that the one that is used is the one that is checked.
            opener = partial(TensorRtBackend, config, tuned_for=lr_size)
            return _open_checked(config, opener, artefact, lr_size)
        case _:
            assert_never(config)


def _open_checked(
    config: BackendConfig,
    opener: Callable[[Artefact, Size], Backend],
    artefact: Artefact,
    lr_size: Size,
) -> Backend:
    """Other weights have no picture to check by: the engine must have reproduced the base's."""
    base = artefact.base if isinstance(artefact, AdaptedArtefact) else artefact
    reference, tolerance = base.reference(), base.manifest.tolerance_levels
    if base is artefact or (config, base.sha256) not in _reproduced:
        trial = opener(base, reference.size)
        try:
            off = check_reference(trial, reference, tolerance_levels=tolerance)
        finally:
            trial.close()
        log.debug("%s on %s: %s", base.manifest.name, trial.name, off)
        _reproduced.add((config, base.sha256))
    backend = opener(artefact, lr_size)
    if base is not artefact:
        try:
            off = check_adapted(backend, reference, lr_size)
        except BackendError:
            backend.close()
            raise
        log.debug("%s, adapted, on %s: %s", base.manifest.name, backend.name, off)
    return backend


def _open_fastest(config: AutoConfig, artefact: Artefact, lr_size: Size) -> Backend:
    fastest: Backend | None = None
    fastest_ms = float("inf")
    refusals: list[BackendError] = []
    for name in INSTALLABLE:
        if name == INT8:  # only a calibration can tell whether it is worth what it loses
            continue
        try:
            backend = open_backend(backend_config(name, threads=config.threads), artefact, lr_size)
        except BackendUnavailable as error:
            if name in _ALWAYS_INSTALLED:
                log.warning("trying the next backend: %s", error)
                refusals.append(error)
            continue
        except BackendError as error:
            log.warning("trying the next backend: %s", error)
            refusals.append(error)
            continue
        try:
            frame_ms = _time_frame_ms(backend, artefact.manifest.window, lr_size)
        except BackendError as error:
            log.warning("trying the next backend: %s", error)
            refusals.append(error)
            backend.close()
            continue
        log.info("%s restores %s in %.1f ms a frame", backend.name, lr_size, frame_ms)
        slower: Backend | None = backend
        if frame_ms < fastest_ms:
            slower, fastest, fastest_ms = fastest, backend, frame_ms
        if slower is not None:
            slower.close()
        if fastest_ms <= _FAST_ENOUGH_MS:
            break
    if fastest is not None:
        return fastest
    reasons = "; ".join(str(refusal) for refusal in refusals)
    kind = BackendUnavailable if _all_unavailable(refusals) else ModelMismatch
    raise kind(f"no backend can run model {artefact.manifest.name}: {reasons}")


def _all_unavailable(refusals: list[BackendError]) -> bool:
    return all(isinstance(refusal, BackendUnavailable) for refusal in refusals)


def _time_frame_ms(backend: Backend, window: int, size: Size) -> float:
    frame = noise_frame(size)
    took_ms: list[float] = []
    while len(took_ms) <= _TRIAL_FRAMES and (len(took_ms) < 2 or sum(took_ms) < _TRIAL_BUDGET_MS):
        started = time.perf_counter()
        backend.fuse([backend.extract(frame)] * window)
        took_ms.append((time.perf_counter() - started) * 1000)
    return min(took_ms[1:])  # whatever else runs here can only add to it
