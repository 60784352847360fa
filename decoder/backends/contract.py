"""What a backend is: the Protocol, its frozen configs, and what all backends share."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from decoder.artefact_reference import Planes
from stream.errors import BackendUnavailable, ConfigError, InferenceFailed, ModelMismatch
from stream.frame import Frame, Plane, Size

BackendName = Literal["auto", "onnxruntime", "openvino"]

LibraryObject: TypeAlias = Any  # Any: the inference libraries ship no types
"""A module, session, tensor or port of an inference library."""

Features: TypeAlias = Sequence[object]
"""What `extract` gives and `fuse` takes: handles of one library, valid while they are held."""

_WINDOW_INPUT = re.compile(r"w(\d+)_f(\d+)")


class Backend(Protocol):
    """One network open on one inference library, for LR frames of one size. Not thread-safe."""

    @property
    def name(self) -> str:
        """For logs and statistics, for example "openvino bf16"."""

    @property
    def config(self) -> BackendConfig:
        """How to open the same again for another size."""

    @property
    def is_half_precision(self) -> bool:
        """Whether it computes in 16 bits, which a reference check allows for."""

    def extract(self, frame: Frame) -> Features:
        """Features of one LR frame of the size the backend was opened for.

        Raises FrameError for another size, InferenceFailed when the library fails.
        """

    def fuse(self, window: Sequence[Features]) -> Planes:
        """HR planes of the reference, from the features of its window, oldest first.

        The planes belong to the caller: nothing writes to them afterwards.
        Raises InferenceFailed when the library fails.
        """

    def close(self) -> None:
        """Give the library's memory back; nothing may be called afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxRuntimeConfig:
    """ONNX Runtime on the CPU, float32, with the native operator DeformConv.

    threads: 0 = one per core.
    """

    threads: int = 0

    def __post_init__(self) -> None:
        check_threads(self.threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVinoConfig:
    """OpenVINO on the CPU, in bfloat16 where the CPU has it and `half` is wanted.

    threads: 0 = one per core.
    """

    threads: int = 0
    half: bool = True

    def __post_init__(self) -> None:
        check_threads(self.threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoConfig:
    """Whichever installed backend is fastest here, for this model and size. threads: 0 = all."""

    threads: int = 0

    def __post_init__(self) -> None:
        check_threads(self.threads)


BackendConfig: TypeAlias = OnnxRuntimeConfig | OpenVinoConfig | AutoConfig


def backend_config(name: BackendName, *, threads: int = 0) -> BackendConfig:
    """The config behind a name on the command line. Raises ConfigError for an unknown name."""
    match name:
        case "auto":
            return AutoConfig(threads=threads)
        case "onnxruntime":
            return OnnxRuntimeConfig(threads=threads)
        case "openvino":
            return OpenVinoConfig(threads=threads)
        case _:
            raise ConfigError(f"unknown backend {name!r}; known: auto, onnxruntime, openvino")


def check_threads(threads: int) -> None:
    """Raises ConfigError when `threads` is negative."""
    if threads < 0:
        raise ConfigError(f"threads must be 0 (one per core) or more, got {threads}")


def thread_count(threads: int) -> int:
    """`threads`, or for 0 the number of cores this process may use."""
    return threads or len(os.sched_getaffinity(0))


def import_library(name: str, *, extra: str) -> LibraryObject:
    """Import an inference library only when it is needed.

    Raises BackendUnavailable, saying what to install.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BackendUnavailable(
            f"{name} cannot be loaded ({error}); pip install {extra}"
        ) from error


def window_inputs(
    names: Iterable[str], *, window: int, features: int
) -> dict[str, tuple[int, int]]:
    """Where each input of a fuse graph comes from: name -> (window position, feature).

    Raises ModelMismatch for a name that is not `w{i}_f{k}` within the model's numbers.
    """
    places = {}
    for name in names:
        found = _WINDOW_INPUT.fullmatch(name)
        place = (int(found[1]), int(found[2])) if found else (window, features)
        if place[0] >= window or place[1] >= features:
            raise ModelMismatch(
                f"fuse graph takes {name!r}, which a window of {window} frames with {features}"
                " features each does not have"
            )
        places[name] = place
    return places


def check_frame_size(frame: Frame, wanted: Size) -> None:
    """Raises InferenceFailed when a frame is not of the size a backend was opened for."""
    if frame.size != wanted:
        raise InferenceFailed(f"backend is open for {wanted}, got a frame of {frame.size}")


def checked_planes(y: Plane, u: Plane, v: Plane, wanted: Size) -> Planes:
    """The planes, if they are uint8 pictures of the wanted HR size. Raises InferenceFailed."""
    half = (wanted.height // 2, wanted.width // 2)
    shapes = ((wanted.height, wanted.width), half, half)
    if (y.shape, u.shape, v.shape) != shapes or not y.dtype == u.dtype == v.dtype == np.uint8:
        raise InferenceFailed(
            f"fuse gave planes {y.shape} {u.shape} {v.shape} of {y.dtype}, expected {wanted}"
        )
    return y, u, v
