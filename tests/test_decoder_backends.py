import gc
import importlib
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Literal, get_args

import numpy as np
import onnx
import pytest

from decoder import backends
from decoder.artefact import Artefact
from decoder.artefact_reference import Planes
from decoder.backends import (
    AutoConfig,
    Backend,
    BackendConfig,
    BackendName,
    OnnxRuntimeConfig,
    OnnxRuntimeGpuConfig,
    OpenVinoConfig,
    TensorRtConfig,
    TorchConfig,
    backend_config,
    open_backend,
)
from decoder.backends.contract import NVIDIA_DRIVER, window_inputs
from stream.errors import BackendUnavailable, ConfigError, InferenceFailed, ModelMismatch
from stream.frame import Size
from tests.tiny_artefact import MEAN, expected_planes, textured_frame, write_tiny_artefact

SIZE = Size(width=32, height=24)
FLOAT32 = [
    OnnxRuntimeConfig(threads=1),
    OpenVinoConfig(threads=1, half=False),
    TorchConfig(threads=1),
    TorchConfig(threads=1, fused=True),
    OnnxRuntimeGpuConfig(provider="cpu", half=False),
]
ON_GPU = [
    TorchConfig(device="cuda"),
    TorchConfig(device="cuda", compiled=True),
    TorchConfig(device="cuda", compiled=True, fused=True),
    OnnxRuntimeGpuConfig(),
    TensorRtConfig(library="tensorrt_rtx"),
    TensorRtConfig(library="tensorrt"),
]
ALL = [
    *FLOAT32,
    OpenVinoConfig(threads=1),
    OnnxRuntimeGpuConfig(provider="cpu"),
    AutoConfig(threads=1),
    *(ON_GPU if NVIDIA_DRIVER.exists() else []),
]


def _open(config: BackendConfig, artefact: Artefact, size: Size) -> Backend:
    """As `open_backend`; libraries for GPUs may be missing beside one."""
    if config not in ON_GPU:
        return open_backend(config, artefact, size)
    try:
        return open_backend(config, artefact, size)
    except BackendUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return write_tiny_artefact(tmp_path_factory.mktemp("models") / "tiny-x2")


def _furthest(found: Planes, expected: Planes) -> int:
    return max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("config", ALL, ids=str)
def test_a_window_is_restored_as_computed_by_hand(
    artefact: Artefact, config: BackendConfig
) -> None:
    window = [
        textured_frame(seed, width=32, height=24, quantiser=quantiser)
        for seed, quantiser in enumerate((None, 17.0, 51.0))
    ]
    backend = _open(config, artefact, SIZE)
    found = backend.fuse([backend.extract(frame) for frame in window])
    assert [plane.shape for plane in found] == [(48, 64), (24, 32), (24, 32)]
    assert _furthest(found, expected_planes(window)) <= (1 if backend.is_half_precision else 0)
    backend.close()


@pytest.mark.parametrize("config", ALL, ids=str)
def test_features_and_planes_outlive_later_calls(artefact: Artefact, config: BackendConfig) -> None:
    frames = [textured_frame(seed, width=32, height=24) for seed in range(6)]
    backend = _open(config, artefact, SIZE)
    early = [backend.extract(frame) for frame in frames[:3]]
    first = backend.fuse(early)
    kept = [plane.copy() for plane in first]
    backend.fuse([backend.extract(frame) for frame in frames[3:]])
    again = backend.fuse(early)
    backend.close()
    gc.collect()
    for plane, copy, repeated in zip(first, kept, again, strict=True):
        assert np.array_equal(plane, copy)
        assert np.array_equal(repeated, copy)


@pytest.mark.parametrize("config", ALL, ids=str)
def test_planes_that_may_not_be_written_to_are_accepted(
    artefact: Artefact, config: BackendConfig
) -> None:
    frame = textured_frame(1, width=32, height=24)
    for plane in (frame.y, frame.u, frame.v):
        plane.setflags(write=False)
    backend = _open(config, artefact, SIZE)
    found = backend.fuse([backend.extract(frame)] * 3)
    assert _furthest(found, expected_planes([frame] * 3)) <= 1


@pytest.mark.parametrize("config", ALL, ids=str)
def test_a_network_that_computes_something_else_is_refused(
    tmp_path: Path, config: BackendConfig
) -> None:
    broken = write_tiny_artefact(tmp_path / "broken-x2", is_broken=True)
    with pytest.raises(ModelMismatch, match="reference picture"):
        _open(config, broken, SIZE)


@pytest.mark.parametrize("config", FLOAT32, ids=str)
def test_a_graph_that_is_not_one_is_refused(tmp_path: Path, config: BackendConfig) -> None:
    damaged = write_tiny_artefact(tmp_path / "damaged-x2")
    for path in damaged.folder.glob("fuse.*"):
        path.write_bytes(b"\x08\x07garbage")
    with pytest.raises(ModelMismatch, match=r"cannot open|not an ONNX graph"):
        open_backend(config, damaged, SIZE)


@pytest.mark.parametrize("config", FLOAT32, ids=str)
def test_a_manifest_that_promises_other_features_is_refused(
    artefact: Artefact, config: BackendConfig
) -> None:
    lying = replace(artefact, manifest=replace(artefact.manifest, features=1))
    with pytest.raises(ModelMismatch, match="w0_f1"):
        open_backend(config, lying, SIZE)


@pytest.mark.parametrize("config", FLOAT32, ids=str)
def test_a_frame_of_another_size_fails_and_the_backend_lives_on(
    artefact: Artefact, config: BackendConfig
) -> None:
    backend = open_backend(config, artefact, SIZE)
    with pytest.raises(InferenceFailed, match="32x24"):
        backend.extract(textured_frame(1, width=16, height=8))
    frame = textured_frame(1, width=32, height=24)
    assert _furthest(backend.fuse([backend.extract(frame)] * 3), expected_planes([frame] * 3)) == 0


def test_sizes_that_the_network_cannot_take_are_refused(artefact: Artefact) -> None:
    with pytest.raises(ConfigError, match="multiples of 4"):
        open_backend(OnnxRuntimeConfig(), artefact, Size(width=30, height=24))


def _without(monkeypatch: pytest.MonkeyPatch, *libraries: str) -> None:
    real = importlib.import_module

    def import_module(name: str, package: str | None = None) -> ModuleType:
        if name in libraries:
            raise ImportError(f"No module named {name!r}")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", import_module)


@pytest.mark.parametrize("config", FLOAT32, ids=str)
def test_a_missing_library_is_named_with_what_to_install(
    artefact: Artefact, config: BackendConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without(monkeypatch, "onnxruntime", "openvino", "torch")
    wanted = r"pip install (onnxruntime|openvino|'edvr-live\[train\]')"
    with pytest.raises(BackendUnavailable, match=wanted):
        open_backend(config, artefact, SIZE)


def test_auto_falls_back_to_the_library_that_is_there(
    artefact: Artefact, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _without(monkeypatch, "openvino")
    assert open_backend(AutoConfig(), artefact, SIZE).name == "onnxruntime f32"
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "pip install openvino" in warnings[0].getMessage()


@pytest.mark.skipif(NVIDIA_DRIVER.exists(), reason="there is an NVIDIA GPU")
@pytest.mark.parametrize("config", ON_GPU, ids=str)
def test_without_a_gpu_its_backends_say_so_before_they_load_anything(
    artefact: Artefact, config: BackendConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without(monkeypatch, "torch", "onnxruntime", "tensorrt", "tensorrt_rtx")
    with pytest.raises(BackendUnavailable, match="needs an NVIDIA GPU"):
        open_backend(config, artefact, SIZE)


@pytest.mark.parametrize("device", ["GPU", "NPU"])
def test_a_device_of_openvino_that_is_not_here_is_unavailable(
    artefact: Artefact, device: Literal["GPU", "NPU"]
) -> None:
    import openvino

    if any(name.startswith(device) for name in openvino.Core().available_devices):
        pytest.skip(f"there is a {device}")
    with pytest.raises(BackendUnavailable, match=f"finds no {device} here"):
        open_backend(OpenVinoConfig(device=device), artefact, SIZE)


def test_a_graph_that_one_backend_computes_wrongly_goes_to_the_next_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its GridSample form is another network's, as engines have been seen to compute."""
    artefact = write_tiny_artefact(tmp_path / "tiny-x2")
    swapped = onnx.load(str(artefact.fuse_path("grid_sample")))
    for weight in swapped.graph.initializer:
        if weight.name == MEAN[0]:
            weight.CopyFrom(onnx.numpy_helper.from_array(np.array(0.2, np.float32), MEAN[0]))
    onnx.save(swapped, str(artefact.fuse_path("grid_sample")))
    backend = open_backend(AutoConfig(threads=1), artefact, SIZE)
    assert backend.name == "onnxruntime f32"
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(lines) == 1
    assert "trying the next backend: openvino" in lines[0]
    assert "does not reproduce the model's reference picture" in lines[0]
    for config in (OpenVinoConfig(), TorchConfig(), OnnxRuntimeGpuConfig(provider="cpu")):
        with pytest.raises(ModelMismatch, match="reference picture"):
            open_backend(config, artefact, SIZE)


def test_auto_with_no_library_says_so(artefact: Artefact, monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch, "openvino", "onnxruntime")
    with pytest.raises(BackendUnavailable, match="no backend can run model tiny-x2"):
        open_backend(AutoConfig(), artefact, SIZE)


@pytest.mark.parametrize("slow", ["openvino", "onnxruntime"])
def test_auto_takes_the_faster_one(
    artefact: Artefact, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    monkeypatch.setattr(
        backends,
        "_time_frame_ms",
        lambda backend, *_: 90.0 if backend.name.startswith(slow) else 30.0,
    )
    assert not open_backend(AutoConfig(), artefact, SIZE).name.startswith(slow)


def test_importing_backends_loads_no_inference_library() -> None:
    code = (
        "import sys, decoder.backends, decoder.restorer;"
        "print([n for n in ('onnxruntime', 'openvino', 'torch') if n in sys.modules])"
    )
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_names_on_the_command_line_become_configs() -> None:
    assert backend_config("auto", threads=2) == AutoConfig(threads=2)
    assert backend_config("onnxruntime") == OnnxRuntimeConfig()
    assert backend_config("openvino") == OpenVinoConfig()
    assert backend_config("openvino-gpu") == OpenVinoConfig(device="GPU")
    assert backend_config("tensorrt-rtx") == TensorRtConfig(library="tensorrt_rtx")
    assert backend_config("torch-cuda") == TorchConfig(device="cuda", compiled=True)
    assert {type(backend_config(name)) for name in get_args(BackendName)} == set(
        get_args(BackendConfig)
    )


@pytest.mark.parametrize("kind", [AutoConfig, OnnxRuntimeConfig, OpenVinoConfig, TorchConfig])
def test_negative_threads_are_refused(kind: type[AutoConfig]) -> None:
    with pytest.raises(ConfigError, match="threads"):
        kind(threads=-1)


def test_fuse_inputs_are_located_in_the_window() -> None:
    assert window_inputs(["w2_f0", "w0_f1"], window=3, features=2) == {
        "w2_f0": (2, 0),
        "w0_f1": (0, 1),
    }


@pytest.mark.parametrize("name", ["w3_f0", "w0_f2", "x", "w0_f0_", "w-1_f0"])
def test_fuse_inputs_outside_of_the_window_are_refused(name: str) -> None:
    with pytest.raises(ModelMismatch):
        window_inputs([name], window=3, features=2)
