"""Compiles a model for one inference library and size, and proves that it computes the same."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

import numpy as np

from decoder.artefact import Artefact
from decoder.backends import OnnxRuntimeConfig, OpenVinoConfig, TensorRtConfig, open_backend
from decoder.backends.self_check import Deviation, check_reference
from decoder.backends.tensorrt_build import engine_sizes, plans
from decoder.edge_padding import padded_size
from stream.errors import ConfigError
from stream.frame import NEUTRAL_CHROMA, Frame, Size

WANTED_HR = Size(width=1280, height=720)
"""What a model is compiled and counted for unless an LR size is given."""

_TARGETS: dict[str, OnnxRuntimeConfig | OpenVinoConfig] = {
    "onnxruntime": OnnxRuntimeConfig(),
    "openvino": OpenVinoConfig(),
}
TARGETS = tuple(_TARGETS)

_AHEAD: dict[str, TensorRtConfig] = {
    "tensorrt-rtx": TensorRtConfig(library="tensorrt_rtx"),
    "tensorrt": TensorRtConfig(library="tensorrt"),
}
AHEAD_TARGETS = tuple(_AHEAD)
"""Libraries whose engines take long to build, and are kept."""

_TIMED_FRAMES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineReport:
    """A compiled model.

    backend: name with its precision; off: from the reference picture, at the reference's size.
    open_s: time to compile for the size and check; frame_ms: median of one frame, restored.
    """

    backend: str
    lr_size: Size
    off: Deviation
    open_s: float
    frame_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AheadReport:
    """Engines that wait in the cache for a receiver to open them, and be checked then."""

    lr_size: Size
    build_s: float
    engine_bytes: int


def build_ahead(
    artefact: Artefact, target: str, lr_size: Size, *, capability: str | None = None
) -> AheadReport:
    """Build the engines of one of `AHEAD_TARGETS` for LR frames of `lr_size`, and keep them.

    capability: only for this kind of GPU, for example SM89. TensorRT-RTX needs no GPU for it.
    Raises ConfigError for an unknown target, BackendUnavailable when its library is not installed,
    ModelMismatch when it cannot build a graph.
    """
    if target not in _AHEAD:
        raise ConfigError(f"unknown target {target!r}; known: {', '.join(AHEAD_TARGETS)}")
    size = padded_size(lr_size, multiple_of=artefact.manifest.multiple_of)
    started_s = time.perf_counter()
    built = plans(_AHEAD[target], artefact, engine_sizes(artefact, size), capability=capability)
    return AheadReport(
        lr_size=size,
        build_s=time.perf_counter() - started_s,
        engine_bytes=len(built.extract) + len(built.fuse),
    )


def default_lr_size(artefact: Artefact) -> Size:
    """The LR size, in the model's multiples, that a 1280x720 picture is made from."""
    scale = artefact.manifest.scale
    size = Size(width=WANTED_HR.width // scale, height=WANTED_HR.height // scale)
    return padded_size(size, multiple_of=artefact.manifest.multiple_of)


def build_engine(artefact: Artefact, target: str, lr_size: Size) -> EngineReport:
    """Compile for LR frames of `lr_size`, padded to the model's multiples, check, and time it.

    Raises ConfigError for an unknown target, BackendUnavailable when its library is not installed,
    ModelMismatch when the engine does not reproduce the model's reference picture.
    """
    if target not in _TARGETS:
        known = ", ".join((*TARGETS, *AHEAD_TARGETS))
        raise ConfigError(f"unknown target {target!r}; known: {known}")
    config, reference = _TARGETS[target], artefact.reference()
    size = padded_size(lr_size, multiple_of=artefact.manifest.multiple_of)
    small = open_backend(config, artefact, reference.size)
    try:
        off = check_reference(small, reference, tolerance_levels=artefact.manifest.tolerance_levels)
    finally:
        small.close()
    started_s = time.perf_counter()
    backend = open_backend(config, artefact, size)
    open_s = time.perf_counter() - started_s
    chroma = np.full((size.height // 2, size.width // 2), NEUTRAL_CHROMA, np.uint8)
    luma = np.random.default_rng(0).integers(16, 236, (size.height, size.width), np.uint8)
    frame, took_ms = Frame(y=luma, u=chroma, v=chroma, pts=0), []
    try:
        window = [backend.extract(frame)] * artefact.manifest.window
        for _ in range(_TIMED_FRAMES):
            started_s = time.perf_counter()
            window = [*window[1:], backend.extract(frame)]
            backend.fuse(window)
            took_ms.append((time.perf_counter() - started_s) * 1000)
        name = backend.name
    finally:
        backend.close()
    return EngineReport(
        backend=name, lr_size=size, off=off, open_s=open_s, frame_ms=median(took_ms)
    )
