from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from decoder.artefact import Artefact, FuseForm
from decoder.artefact_reference import quantiser_input
from decoder.edvr import deform_conv
from decoder.edvr.deform_conv import ONNX_OPSET, DeformConvPack, DeformForm, export_form
from decoder.edvr.export import FORMS, PlanesExtract, PlanesFuse, to_levels
from decoder.edvr.live import LiveEdvr
from decoder.training.publish import run_network
from stream.frame import Frame
from tests.training_media import TINY, moving_frame, randomise, tiny_network

Arrays = Mapping[str, NDArray[Any]]  # Any: arrays of bytes and of floats


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _run(path: Path, inputs: Arrays) -> Arrays:
    session = _session(path)
    wanted = {node.name for node in session.get_inputs()}
    values = session.run(None, {name: inputs[name] for name in wanted})
    return {node.name: value for node, value in zip(session.get_outputs(), values, strict=True)}


def _window(*, width: int = 48, height: int = 32) -> tuple[Frame, ...]:
    quantisers = (None, 24.0, 41.0)
    frames = (moving_frame(index, width=width, height=height) for index in range(3))
    return tuple(
        Frame(y=f.y, u=f.u, v=f.v, pts=f.pts, quantiser=q)
        for f, q in zip(frames, quantisers, strict=True)
    )


def _features(artefact: Artefact, window: tuple[Frame, ...]) -> Arrays:
    """What the extract graph gives for each frame, named as the fuse graph takes it."""
    features: dict[str, NDArray[Any]] = {}
    for position, frame in enumerate(window):
        planes: Arrays = {name: getattr(frame, name) for name in "yuv"} | {
            "quantiser": quantiser_input(frame)
        }
        for name, value in _run(artefact.extract_path, planes).items():
            features[f"w{position}_{name}"] = value
    return features


def _fuse(artefact: Artefact, form: FuseForm, window: tuple[Frame, ...]) -> Arrays:
    return _run(artefact.fuse_path(form), _features(artefact, window))


def _most_levels(found: Arrays, expected: Arrays) -> int:
    assert set(found) == set(expected) == {"y", "u", "v"}
    return max(int(np.abs(found[n].astype(int) - expected[n]).max()) for n in expected)


@pytest.mark.parametrize(("width", "height"), [(48, 32), (8, 8), (136, 64)])
def test_both_forms_give_the_picture_of_torch_at_any_size(
    live_artefact: Artefact, width: int, height: int
) -> None:
    window = _window(width=width, height=height)
    expected = dict(zip("yuv", run_network(tiny_network(), window), strict=True))

    by_form = {form: _fuse(live_artefact, form, window) for form in FORMS}

    assert expected["y"].shape == (2 * height, 2 * width)
    for planes in by_form.values():
        assert _most_levels(planes, expected) <= 1
    assert _most_levels(by_form["deform_conv"], by_form["grid_sample"]) <= 1


class _PlainWindow(nn.Module):
    """The plain network on a window of uint8 planes, as one graph."""

    def __init__(self, network: LiveEdvr) -> None:
        super().__init__()
        self.extract = PlanesExtract(network.extract)
        self.fuse = PlanesFuse(network.fuse, network.config.window)

    def forward(self, *planes: Tensor) -> tuple[Tensor, ...]:
        features: list[Tensor] = []
        for start in range(0, len(planes), 4):
            y, u, v, quantiser = planes[start : start + 4]
            features += self.extract(y, u, v, quantiser)
        return tuple(self.fuse(*features))


@pytest.mark.filterwarnings("ignore")  # deprecations inside the exporter
def test_the_pair_gives_the_bytes_of_the_plain_network_as_one_graph(
    live_artefact: Artefact, tmp_path: Path
) -> None:
    window = _window()
    planes: dict[str, NDArray[Any]] = {}
    for position, frame in enumerate(window):
        planes |= {f"{name}{position}": getattr(frame, name) for name in "yuv"}
        planes[f"quantiser{position}"] = quantiser_input(frame)
    with export_form("deform_conv"), torch.no_grad():
        program = torch.onnx.export(
            _PlainWindow(tiny_network()).eval(),
            tuple(torch.from_numpy(value.copy()) for value in planes.values()),
            input_names=list(planes),
            output_names=["y", "u", "v"],
            opset_version=ONNX_OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.save(str(tmp_path / "plain.onnx"))

    plain = _run(tmp_path / "plain.onnx", planes)

    paired = _fuse(live_artefact, "deform_conv", window)
    assert _most_levels(paired, plain) == 0
    assert len(np.unique(plain["y"])) > 50, "a picture, not a flat plane"


def test_the_graphs_use_standard_operators_alone(live_artefact: Artefact) -> None:
    operators = {}
    for path in (live_artefact.extract_path, *map(live_artefact.fuse_path, FORMS)):
        model = onnx.load(str(path))
        assert [(o.domain, o.version) for o in model.opset_import] == [("", ONNX_OPSET)]
        assert not model.functions
        operators[path.name] = Counter(node.op_type for node in model.graph.node)
        assert {node.domain for node in model.graph.node} == {""}

    levels = 2  # neighbours are one batch
    assert operators["fuse.deform_conv.onnx"]["DeformConv"] == levels
    assert operators["fuse.grid_sample.onnx"]["GridSample"] == levels
    assert "GridSample" not in operators["fuse.deform_conv.onnx"]
    assert "DeformConv" not in operators["fuse.grid_sample.onnx"]


def test_graphs_say_nothing_of_the_machine_that_exported_them(live_artefact: Artefact) -> None:
    repository = str(Path(__file__).parents[1]).encode()
    graphs = list(live_artefact.folder.glob("*.onnx"))
    assert len(graphs) == 3
    assert not [graph.name for graph in graphs if repository in graph.read_bytes()]


def test_inputs_and_outputs_are_named_as_artefacts_have_them(live_artefact: Artefact) -> None:
    extract = onnx.load(str(live_artefact.extract_path)).graph
    assert [node.name for node in extract.input] == ["y", "u", "v", "quantiser"]
    assert [node.name for node in extract.output] == [f"f{k}" for k in range(8)]
    for form in FORMS:
        fuse = onnx.load(str(live_artefact.fuse_path(form))).graph
        known = {f"w{i}_f{k}" for i in range(3) for k in range(8)}
        assert {node.name for node in fuse.input} <= known
        assert [node.name for node in fuse.output] == ["y", "u", "v"]


@pytest.mark.filterwarnings("ignore")  # deprecations inside the exporter
def test_both_forms_of_a_deformable_convolution_agree_within_a_ten_thousandth(
    tmp_path: Path,
) -> None:
    pack = DeformConvPack(TINY.near_channels, TINY.deformable_groups).eval()
    randomise(pack, seed=3)
    generator = torch.Generator().manual_seed(4)
    x, guide = (torch.randn(1, TINY.near_channels, 9, 11, generator=generator) for _ in range(2))
    with torch.no_grad():
        expected = pack(x, guide).numpy()

    by_form: dict[DeformForm, NDArray[Any]] = {}
    for form in FORMS:
        path = tmp_path / f"{form}.onnx"
        with export_form(form), torch.no_grad():
            program = torch.onnx.export(
                pack,
                (x, guide),
                input_names=["x", "guide"],
                opset_version=ONNX_OPSET,
                dynamo=True,
                verbose=False,
            )
        assert program is not None
        program.save(str(path))
        (by_form[form],) = _run(path, {"x": x.numpy(), "guide": guide.numpy()}).values()

    for found in by_form.values():
        np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(by_form["deform_conv"], by_form["grid_sample"], atol=1e-4)
    still = DeformConvPack(TINY.near_channels, TINY.deformable_groups)
    still.weight, still.bias = pack.weight, pack.bias
    with torch.no_grad():
        assert np.abs(still(x, guide).numpy() - expected).max() > 0.1, "offsets hardly matter"


def test_the_form_of_an_export_ends_with_it_even_when_it_fails() -> None:
    def form() -> DeformForm:
        return deform_conv._form

    def fail() -> None:
        with export_form("deform_conv"):
            assert form() == "deform_conv"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert form() == "grid_sample"


def test_samples_become_levels_rounded_and_clipped() -> None:
    samples = torch.tensor([-1.2, -1.0, 0.0, 0.0039, 0.004, 127 / 128, 1.5])

    assert to_levels(samples).tolist() == [0, 0, 128, 128, 129, 255, 255]
    assert to_levels(samples).dtype == torch.uint8
