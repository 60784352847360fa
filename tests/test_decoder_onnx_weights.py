"""Weights inside ONNX files, found and replaced as bytes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from decoder.artefact import GRAPH_FILES, MODELS_FOLDER
from decoder.onnx_weights import find_weights, read_weight, replace_weights
from stream.errors import ModelMismatch


def graph_of(*initialisers: TensorProto) -> bytes:
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node("Identity", [initialisers[0].name], ["y"])
    graph = helper.make_graph([node], "g", [], [output], list(initialisers))
    data: bytes = helper.make_model(graph).SerializeToString()
    return data


@pytest.mark.parametrize("file", GRAPH_FILES)
@pytest.mark.parametrize("model", ["live-xs-x2", "live-xs-x4"])
def test_all_float_weights_of_a_shipped_graph_are_found_as_onnx_reads_them(
    model: str, file: str
) -> None:
    path = Path(MODELS_FOLDER) / model / file
    data = path.read_bytes()
    expected = {
        each.name: numpy_helper.to_array(each)
        for each in onnx.load(path).graph.initializer
        if each.data_type == TensorProto.FLOAT
    }
    found = {name: read_weight(data, place) for name, place in find_weights(data).items()}
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_replacing_changes_the_named_weights_and_nothing_else() -> None:
    first = np.arange(6, dtype=np.float32).reshape(2, 3)
    other = np.array([7.0], np.float32)
    data = graph_of(numpy_helper.from_array(first, "a"), numpy_helper.from_array(other, "b"))
    patched = replace_weights(data, find_weights(data), {"a": -first})
    assert len(patched) == len(data)
    read = {
        each.name: numpy_helper.to_array(each)
        for each in onnx.load_from_string(patched).graph.initializer
    }
    assert np.array_equal(read["a"], -first)
    assert np.array_equal(read["b"], other)
    with pytest.raises(ValueError, match="is \\(2, 3\\)"):
        replace_weights(data, find_weights(data), {"a": other})


def test_scalars_are_found_and_what_is_no_raw_float32_is_not() -> None:
    scalar = numpy_helper.from_array(np.array(2.5, np.float32), "scalar")
    listed = helper.make_tensor("listed", TensorProto.FLOAT, [2], [1.0, 2.0])  # in float_data
    whole = numpy_helper.from_array(np.array([1], np.int64), "whole")
    half = numpy_helper.from_array(np.array([1], np.float16), "half")
    data = graph_of(scalar, listed, whole, half)
    places = find_weights(data)
    assert set(places) == {"scalar"}
    assert places["scalar"].shape == ()
    assert read_weight(data, places["scalar"]) == np.float32(2.5)


def test_what_is_not_a_graph_is_refused_and_never_anything_worse() -> None:
    data = graph_of(numpy_helper.from_array(np.ones((2, 2), np.float32), "a"))
    for broken in (data[:-3], b"\x07\x00", b"\x3a\xff\xff\xff\xff\x0f", b"\xff" * 12):
        with pytest.raises(ModelMismatch, match="not an ONNX graph"):
            find_weights(broken)
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] = rng.integers(256)
        with contextlib.suppress(ModelMismatch):
            find_weights(bytes(damaged))
