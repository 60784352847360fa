"""A model of single frames gets a form in 8 bits that loses next to nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import onnx
import pytest

from decoder.artefact import INT8_FILE, Artefact, find_artefact, list_artefacts, load_artefact
from decoder.backends import OnnxRuntimeConfig, OpenVinoConfig, backend_config, open_backend
from decoder.backends.contract import INT8
from decoder.backends.openvino_device import OpenVinoBackend
from decoder.backends.self_check import INT8_MIN_PSNR_DB, deviation
from decoder.onnx_weights import find_weights, read_weight
from decoder.training import publish_int8
from decoder.training.cli import app
from decoder.training.quantise import WEIGHT_LEVELS
from stream.command_line import run_command
from stream.errors import BackendUnavailable, ModelMismatch
from stream.frame import Size
from tests.training_media import write_footage

CONFIG = OpenVinoConfig(threads=1, half=False, int8=True)
SHIPPED = [each for each in list_artefacts() if each.has_int8]


@pytest.fixture(params=SHIPPED, ids=lambda artefact: artefact.manifest.name)
def shipped(request: pytest.FixtureRequest) -> Artefact:
    artefact = request.param
    assert isinstance(artefact, Artefact)
    return artefact


def _copy(artefact: Artefact, folder: Path) -> Artefact:
    return load_artefact(Path(copytree(artefact.folder, folder)))


def test_the_models_of_single_frames_have_it() -> None:
    single = {each.manifest.name for each in list_artefacts() if each.manifest.window == 1}
    assert {each.manifest.name for each in SHIPPED} == single, (
        "run: edvr-model quantise NAME --clips FOOTAGE-IT-WAS-TRAINED-ON"
    )


def test_it_reproduces_the_reference_picture(shipped: Artefact) -> None:
    reference = shipped.reference()
    backend = open_backend(backend_config(INT8, threads=1), shipped, reference.size)
    found = backend.fuse([backend.extract(frame) for frame in reference.frames])
    assert backend.name == "openvino int8"
    off = deviation(reference.expected, found)
    assert INT8_MIN_PSNR_DB <= off.psnr_db < 60  # it truly rounds
    backend.close()


def test_its_convolutions_are_computed_in_integers_but_for_the_classical_upscaler(
    shipped: Artefact,
) -> None:
    backend = OpenVinoBackend(CONFIG, shipped, Size(width=64, height=48))
    graph = backend._fuse.get_compiled_model().get_runtime_model()
    kinds = [
        str(node.get_rt_info()["primitiveType"].astype(str)).lower()
        for node in graph.get_ordered_ops()
        if node.get_rt_info()["layerType"].astype(str) == "Convolution"
    ]
    assert sum("i8" in kind for kind in kinds) >= 7
    assert sum("f32" in kind for kind in kinds) == 2
    backend.close()


def test_weights_stay_as_they_are_under_their_names(shipped: Artefact) -> None:
    exact, rounded = shipped.fuse_graph("deform_conv"), shipped.fuse_graph("int8")
    places = find_weights(rounded)
    for name, place in find_weights(exact).items():
        assert np.array_equal(read_weight(exact, place), read_weight(rounded, places[name])), name


def test_weights_leave_room_for_processors_that_add_in_16_bits(shipped: Artefact) -> None:
    constants = {
        each.name: onnx.numpy_helper.to_array(each)
        for each in onnx.load_from_string(shipped.fuse_graph("int8")).graph.initializer
    }
    scales = [name for name, each in constants.items() if name.endswith(".scale") and each.ndim]
    assert scales
    for name in scales:
        kernel = constants.get(name.removesuffix(".scale"))
        if kernel is not None:
            levels = np.abs(kernel).reshape(len(kernel), -1).max(axis=1) / constants[name]
            assert levels.max() <= WEIGHT_LEVELS + 0.01


def test_a_model_without_it_is_not_opened_so() -> None:
    with pytest.raises(BackendUnavailable, match="live-xs-x2 has no form in 8 bits"):
        open_backend(CONFIG, find_artefact("live-xs-x2"), Size(width=64, height=48))


def test_one_that_computes_something_else_is_refused(shipped: Artefact, tmp_path: Path) -> None:
    broken = _copy(shipped, tmp_path / "broken")
    model = onnx.load(str(broken.folder / INT8_FILE))
    (scale,) = [
        each for each in model.graph.initializer if each.name.endswith("conv_first.weight.scale")
    ]
    halved = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(scale) / 8, scale.name)
    scale.CopyFrom(halved)
    onnx.save(model, str(broken.folder / INT8_FILE))
    with pytest.raises(ModelMismatch, match="openvino int8 does not reproduce"):
        open_backend(CONFIG, broken, Size(width=64, height=48))


@pytest.mark.parametrize(("most_db", "status"), [(10.0, 0), (-10.0, 2)])
def test_the_command_writes_it_only_where_little_is_lost(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    most_db: float,
    status: int,
) -> None:
    monkeypatch.setattr(publish_int8, "MOST_LOSS_DB", most_db)
    monkeypatch.setattr(publish_int8, "APART", 2)
    artefact = _copy(find_artefact("live-xxs-x2"), tmp_path / "model")
    before = artefact.manifest.sha256
    clip = write_footage(tmp_path / "clip.y4m", count=8)
    assert run_command(app, ["quantise", str(artefact.folder), "--clips", str(clip)]) == status
    after = load_artefact(artefact.folder)
    said = capsys.readouterr()
    if status:
        assert "more than -10" in said.err
        assert not after.has_int8
        assert {**after.manifest.sha256, INT8_FILE: before[INT8_FILE]} == before
        assert not (artefact.folder / INT8_FILE).exists()
    else:
        assert "8 bits lose" in said.out
        assert after.has_int8


def test_models_that_align_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = write_footage(tmp_path / "clip.y4m", count=2)
    assert run_command(app, ["quantise", "live-xs-x2", "--clips", str(clip)]) == 2
    assert "live-xs-x2 aligns neighbours" in capsys.readouterr().err


def test_the_same_engine_stands_for_the_exact_form_too(shipped: Artefact) -> None:
    """What `int8` asks for is only said in the config: without it nothing is rounded."""
    reference = shipped.reference()
    exact = open_backend(replace(CONFIG, int8=False), shipped, reference.size)
    other = open_backend(OnnxRuntimeConfig(threads=1), shipped, reference.size)
    for backend in (exact, other):
        planes = backend.fuse([backend.extract(frame) for frame in reference.frames])
        assert deviation(reference.expected, planes).max_levels <= 1
        backend.close()
