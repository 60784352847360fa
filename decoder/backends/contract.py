"""What a backend is: the Protocol, its frozen configs, and what all backends share."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from decoder.artefact_reference import Planes
from stream.errors import BackendUnavailable, ConfigError, InferenceFailed, ModelMismatch
from stream.frame import Frame, Plane, Size

BackendName = Literal[
    "auto",
    "tensorrt-rtx",
    "tensorrt",
    "onnxruntime-cuda",
    "onnxruntime-tensorrt",
    "torch-triton",
    "torch-cuda",
    "openvino-gpu",
    "openvino-npu",
    "openvino",
    "openvino-int8",
    "onnxruntime",
    "torch",
]

INSTALLABLE: tuple[BackendName, ...] = (
    "tensorrt-rtx",
    "tensorrt",
    "onnxruntime-cuda",
    "torch-triton",
    "torch-cuda",
    "openvino-gpu",
    "openvino",
    "openvino-int8",
    "onnxruntime",
)
"""What `auto` tries, where it is installed and has its device; the likely fastest first. Of the
others one takes minutes to compile (onnxruntime-tensorrt), one is slow (torch on a CPU), and one
runs few networks (openvino-npu)."""

INT8: BackendName = "openvino-int8"
"""Runs only models that have a form in 8 bits."""

LibraryObject: TypeAlias = Any  # Any: the inference libraries ship no types
"""A module, session, tensor or port of an inference library."""

HalfType: TypeAlias = Literal["f16", "bf16"]
"""How 16 bits are used."""

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

    @property
    def runs_on_cpu(self) -> bool:
        """Whether it takes the cores that everything else runs on."""

    def sibling(self) -> Backend:
        """Another one on the same compiled graphs and weights, for another stream and thread.

        Features belong to the one that extracted them. Closing one leaves the others working.
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
class OnnxRuntimeGpuConfig:
    """ONNX Runtime on an NVIDIA GPU, by its CUDA or its TensorRT provider; float16 for `half`.

    provider "cpu" runs the same path where there is no GPU, for tests.
    """

    provider: Literal["cuda", "tensorrt", "cpu"] = "cuda"
    half: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVinoConfig:
    """OpenVINO, on a CPU in bfloat16 where it has that and `half` is wanted.

    threads: of a CPU; 0 = one per core. device: GPU and NPU are Intel's, and compute in float16.
    int8: convolutions of the fuse graph in 8 bits, everything else in float32, on a CPU.
    """

    threads: int = 0
    half: bool = True
    int8: bool = False
    device: Literal["CPU", "GPU", "NPU"] = "CPU"

    def __post_init__(self) -> None:
        check_threads(self.threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchConfig:
    """PyTorch: the reference, and for GPUs that no other library takes.

    half: float16, on CUDA only. compiled: by torch.compile; with CUDA also replayed as one CUDA
    graph. fused: deformable convolution as one operation, on CUDA a Triton kernel, instead of
    sampling and what follows. threads: of a CPU; 0 = one per core.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = 0
    half: bool = True
    compiled: bool = False
    fused: bool = False

    def __post_init__(self) -> None:
        check_threads(self.threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRtConfig:
    """TensorRT, or TensorRT-RTX, which has the same interface; 16 bits for `half`.

    half_type: bfloat16 has the range of float32, for networks whose values outgrow float16, and
    three bits less for each.
    """

    library: Literal["tensorrt", "tensorrt_rtx"] = "tensorrt_rtx"
    half: bool = True
    half_type: HalfType = "f16"


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoConfig:
    """Whichever installed backend is fastest here, for this model and size. threads: 0 = all."""

    threads: int = 0

    def __post_init__(self) -> None:
        check_threads(self.threads)


LibraryConfig: TypeAlias = (
    OnnxRuntimeConfig | OnnxRuntimeGpuConfig | OpenVinoConfig | TorchConfig | TensorRtConfig
)
"""One library, rather than whichever is best."""

BackendConfig: TypeAlias = LibraryConfig | AutoConfig


def backend_config(name: BackendName, *, threads: int = 0) -> BackendConfig:
    """The config behind a name on the command line. Raises ConfigError for an unknown name."""
    configs: dict[str, BackendConfig] = {
        "auto": AutoConfig(threads=threads),
        "tensorrt-rtx": TensorRtConfig(),
        "tensorrt": TensorRtConfig(library="tensorrt"),
        "onnxruntime-cuda": OnnxRuntimeGpuConfig(),
        "onnxruntime-tensorrt": OnnxRuntimeGpuConfig(provider="tensorrt"),
        "torch-triton": TorchConfig(device="cuda", compiled=True, fused=True),
        "torch-cuda": TorchConfig(device="cuda", compiled=True),
        "openvino-gpu": OpenVinoConfig(device="GPU"),
        "openvino-npu": OpenVinoConfig(device="NPU"),
        "openvino": OpenVinoConfig(threads=threads),
        INT8: OpenVinoConfig(threads=threads, half=False, int8=True),
        "onnxruntime": OnnxRuntimeConfig(threads=threads),
        "torch": TorchConfig(threads=threads),
    }
    if name not in configs:
        raise ConfigError(f"unknown backend {name!r}; known: {', '.join(configs)}")
    return configs[name]


NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


def need_nvidia_gpu(wanted_by: str) -> None:
    """Raises BackendUnavailable at once, before any library is loaded, without NVIDIA's driver."""
    if not NVIDIA_DRIVER.exists():
        raise BackendUnavailable(f"{wanted_by} needs an NVIDIA GPU with its driver; there is none")


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
