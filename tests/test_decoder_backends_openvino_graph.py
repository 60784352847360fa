"""What is rearranged for a CPU is the same picture; what is not as expected stays as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from decoder.artefact import Artefact, list_artefacts
from decoder.artefact_reference import Planes
from decoder.backends import OpenVinoConfig
from decoder.backends.graph_cost import read_graphs
from decoder.backends.openvino_device import OpenVinoBackend
from decoder.backends.openvino_graph import outputs_as_cells, planes_from_cells, rewrite_fuse
from stream.frame import Size
from tests.tiny_artefact import write_tiny_artefact

CONFIG = OpenVinoConfig(threads=1, half=False)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 8, 12])
def test_cells_lie_side_by_side_in_the_plane(side: int) -> None:
    cells = np.random.default_rng(side).integers(0, 256, (1, 3, 5, side * side), np.uint8)
    plane = planes_from_cells(cells)
    assert plane.shape == (3 * side, 5 * side)
    for row in range(3):
        for column in range(5):
            cell = plane[row * side :, column * side :][:side, :side]
            assert np.array_equal(cell.reshape(-1), cells[0, row, column])


@pytest.fixture(params=list_artefacts(), ids=lambda artefact: artefact.manifest.name)
def shipped(request: pytest.FixtureRequest) -> Artefact:
    artefact = request.param
    assert isinstance(artefact, Artefact)
    return artefact


def _restored(artefact: Artefact) -> Planes:
    reference = artefact.reference()
    backend = OpenVinoBackend(CONFIG, artefact, reference.size)
    planes = backend.fuse([backend.extract(frame) for frame in reference.frames])
    backend.close()
    return planes


def test_shipped_models_give_the_same_picture_with_less_moved(
    shipped: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []
    compile_model = OpenVinoBackend._compile

    def noted(self: OpenVinoBackend, core: object, graph: object) -> object:
        compiled.append(graph)
        return compile_model(self, core, graph)

    monkeypatch.setattr(OpenVinoBackend, "_compile", noted)
    found = _restored(shipped)
    kinds = [node.get_type_name() for node in compiled[-1].get_ops()]  # type: ignore[attr-defined] # OpenVINO ships no types
    assert "ReduceSum" not in kinds
    assert "Gather" not in kinds  # which took planes out of what was laid out
    monkeypatch.setattr(OpenVinoBackend, "_rearrange", lambda self, graph: frozenset())
    for plane, expected in zip(found, _restored(shipped), strict=True):
        assert np.abs(plane.astype(int) - expected).max() <= 1


def test_a_graph_of_another_kind_is_left_as_it_is(tmp_path: Path) -> None:
    artefact = write_tiny_artefact(tmp_path / "tiny-x2")
    graph = read_graphs(artefact, Size(width=32, height=24)).fuse
    before = [node.get_friendly_name() for node in graph.get_ordered_ops()]
    rewrite_fuse(graph)
    assert outputs_as_cells(graph) == frozenset()
    kept = {node.get_friendly_name() for node in graph.get_ordered_ops()}
    assert {output.any_name for output in graph.outputs} == {"y", "u", "v"}
    assert kept <= set(before)
