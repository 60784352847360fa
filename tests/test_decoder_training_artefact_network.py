from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from decoder.artefact import GRAPH_FILES, Artefact, find_artefact
from decoder.training.artefact_network import live_network
from decoder.training.publish import load_trained
from stream.errors import ConfigError, ModelMismatch

CHECKPOINTS = Path(__file__).parents[1] / "decoder/training/checkpoints"


@pytest.mark.parametrize("name", ["live-xs-x2", "live-xs-x4"])
def test_shipped_models_are_their_checkpoints(name: str) -> None:
    trained, _ = load_trained(CHECKPOINTS / f"{name}.pt")
    network = live_network(find_artefact(name))

    assert network.config == trained.config
    assert not network.training
    for key, weight in trained.state_dict().items():
        assert torch.equal(network.state_dict()[key], weight), key


def _with_weights(folder: Path, names: Mapping[str, tuple[int, ...]]) -> Artefact:
    """A model whose every graph has these weights and nothing else."""
    weights = [
        numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in names.items()
    ]
    model = helper.make_model(helper.make_graph([], "empty", [], [], weights))
    for file in GRAPH_FILES:
        onnx.save(model, str(folder / file))
    return replace(find_artefact("live-xs-x4"), folder=folder)


def test_a_model_of_another_family_is_refused(tmp_path: Path) -> None:
    other = _with_weights(tmp_path, {"conv_first.weight": (64, 3, 3, 3)})
    with pytest.raises(ConfigError, match="live-xs-x4 is not of the live family"):
        live_network(other)


def test_a_graph_that_lacks_weights_is_a_mismatch(tmp_path: Path) -> None:
    names = {"extract.near_l1.weight": (4, 8, 1, 1), "fuse.conv_last.weight": (96, 8, 3, 3)}
    with pytest.raises(ModelMismatch, match="its graphs are incomplete"):
        live_network(_with_weights(tmp_path, names))
