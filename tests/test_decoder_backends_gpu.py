"""What GPU backends are made of, as far as a machine without one can hold: graphs and engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from decoder.artefact import Artefact, list_artefacts
from decoder.artefact_reference import Planes
from decoder.backends import (
    OnnxRuntimeGpuConfig,
    TensorRtConfig,
    TorchConfig,
    backend_config,
    open_backend,
)
from decoder.backends.contract import BackendConfig, HalfType
from decoder.backends.gpu_graph import gpu_graph
from decoder.backends.self_check import HALF_MIN_PSNR_DB, deviation
from decoder.backends.tensorrt_build import engine_sizes, plans
from decoder.training.cli import app
from decoder.training.engine import default_lr_size
from stream.command_line import run_command
from stream.errors import ConfigError, ModelMismatch
from stream.frame import Size
from tests.tiny_artefact import write_tiny_artefact

SHIPPED = list_artefacts()
ONE_KIND = "SM89"
"""Building for one kind of GPU takes seconds, for all of them a minute."""


@pytest.fixture(params=SHIPPED, ids=lambda artefact: artefact.manifest.name)
def shipped(request: pytest.FixtureRequest) -> Artefact:
    artefact = request.param
    assert isinstance(artefact, Artefact)
    return artefact


@pytest.mark.parametrize(("half", "half_type"), [(False, "f16"), (True, "f16"), (True, "bf16")])
def test_rewritten_graphs_have_bytes_at_their_edges_alone(
    shipped: Artefact, half: bool, half_type: HalfType
) -> None:
    fuse_paths = (shipped.fuse_path("grid_sample"), shipped.fuse_path("deform_conv"))
    for path in (shipped.extract_path, *fuse_paths):
        model = onnx.load_from_string(gpu_graph(path.read_bytes(), half=half, half_type=half_type))
        if half_type == "f16":  # for bfloat16 operators are checked only from opset 22 on
            onnx.checker.check_model(model, full_check=True)
        inferred = onnx.shape_inference.infer_shapes(model)
        kinds = {each.type.tensor_type.elem_type for each in inferred.graph.value_info}
        assert onnx.TensorProto.UINT8 not in kinds
        wanted = {"f16": onnx.TensorProto.FLOAT16, "bf16": onnx.TensorProto.BFLOAT16}[half_type]
        assert (wanted in kinds) == half


def test_sampling_positions_stay_in_32_bits(shipped: Artefact) -> None:
    rewritten = gpu_graph(shipped.fuse_graph("grid_sample"), half=True)
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(rewritten)).graph
    kinds = {each.name: each.type.tensor_type.elem_type for each in graph.value_info}
    samplers = [node for node in graph.node if node.op_type == "GridSample"]
    assert bool(samplers) == (shipped.manifest.window > 1)
    assert {kinds[node.input[1]] for node in samplers} <= {onnx.TensorProto.FLOAT}


def _restored(config: BackendConfig, artefact: Artefact) -> Planes:
    reference = artefact.reference()
    backend = open_backend(config, artefact, reference.size)
    planes = backend.fuse([backend.extract(frame) for frame in reference.frames])
    backend.close()
    return planes


def test_shipped_models_come_out_right_in_torch_and_in_16_bits(shipped: Artefact) -> None:
    expected = shipped.reference().expected
    exact = _restored(TorchConfig(threads=1), shipped)
    assert deviation(expected, exact).max_levels <= shipped.manifest.tolerance_levels
    fused = _restored(TorchConfig(threads=1, fused=True), shipped)
    assert deviation(expected, fused).max_levels <= shipped.manifest.tolerance_levels
    half = _restored(OnnxRuntimeGpuConfig(provider="cpu"), shipped)
    assert deviation(expected, half).psnr_db >= HALF_MIN_PSNR_DB


def test_features_that_are_bound_to_the_device_are_half_as_large(shipped: Artefact) -> None:
    frame = shipped.reference().frames[0]
    sizes = {}
    for half in (False, True):
        config = OnnxRuntimeGpuConfig(provider="cpu", half=half)
        backend = open_backend(config, shipped, frame.size)
        features = [np.asarray(each.numpy()) for each in backend.extract(frame)]  # type: ignore[attr-defined] # OrtValue
        sizes[half] = sum(each.nbytes for each in features)
        backend.close()
    assert sizes[True] * 2 == sizes[False]


def test_tensorrt_rtx_builds_every_shipped_model_without_a_gpu_and_keeps_it(
    shipped: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = TensorRtConfig(library="tensorrt_rtx")
    sizes = engine_sizes(shipped, default_lr_size(shipped))
    built = plans(config, shipped, sizes, capability=ONE_KIND)
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*.plan")}
    assert len(kept) == 2
    assert plans(config, shipped, sizes, capability=ONE_KIND) == built
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*.plan")} == kept


def test_tensorrt_rtx_builds_a_shipped_model_in_bfloat16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = TensorRtConfig(half_type="bf16")
    sizes = engine_sizes(SHIPPED[0], default_lr_size(SHIPPED[0]))
    built = plans(config, SHIPPED[0], sizes, capability=ONE_KIND)
    assert len(built.extract) > 1000
    assert len(built.fuse) > 1000


def test_engines_are_built_ahead_by_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    artefact = write_tiny_artefact(tmp_path / "tiny-x2")
    command = ["build", str(artefact.folder), "--target", "tensorrt-rtx", "--lr-size", "32x24"]
    assert run_command(app, [*command, "--capability", ONE_KIND]) == 0
    assert "tiny-x2 on tensorrt-rtx: built for 32x24" in capsys.readouterr().out
    assert run_command(app, [*command, "--capability", "SM1"]) == 2
    assert "tensorrt_rtx cannot build for SM1" in capsys.readouterr().err


def test_another_size_or_precision_is_another_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    artefact = write_tiny_artefact(tmp_path / "tiny-x2")
    for lr_size, half in (((32, 24), True), ((32, 24), False), ((64, 48), True)):
        sizes = engine_sizes(artefact, Size(width=lr_size[0], height=lr_size[1]))
        plans(TensorRtConfig(half=half), artefact, sizes, capability=ONE_KIND)
    assert len(list((tmp_path / "cache").rglob("*.plan"))) == 6


def test_a_graph_that_tensorrt_cannot_read_is_refused(tmp_path: Path) -> None:
    """DeformConv is not among its operators."""
    artefact = write_tiny_artefact(tmp_path / "tiny-x2")
    deform = artefact.fuse_path("deform_conv").read_bytes()
    artefact.fuse_path("grid_sample").write_bytes(deform.replace(b"DeformConv", b"DeformCanv"))
    sizes = engine_sizes(artefact, Size(width=32, height=24))
    with pytest.raises(ModelMismatch, match="cannot read"):
        plans(TensorRtConfig(), artefact, sizes, capability=ONE_KIND)


def test_a_name_that_no_backend_has_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown backend 'tensorrt-rtz'; known: auto, tensorrt"):
        backend_config("tensorrt-rtz")  # type: ignore[arg-type] # a typing mistake
