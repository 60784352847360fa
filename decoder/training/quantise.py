"""8-bit integers for the convolutions of a model of single frames, for processors without bfloat16.

The graph keeps its float32 weights under their names. Before each convolution its input goes
through a pair of QuantizeLinear and DequantizeLinear, and so do the weights; engines make integer
arithmetic of that when they open it. What is not rounded: the classical upscaler, whose samples
the picture consists of, and everything between convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from decoder.backends.contract import LibraryObject, import_library

WEIGHT_LEVELS = 63
"""Largest weight: 7 bits. Processors without VNNI add products of two pairs in 16 bits, which 8-bit
weights overflow: 0.4 dB were lost by that with AVX2, with 7 bits 0.01 dB."""

INPUT_LEVELS = 255

TAIL_PERCENT = 0.01
"""At either end of a convolution's input: what lies there is cut off, and all else is rounded more
finely. Without it live-xxs-x2 lost four times as much."""

_UPSCALER = "upsampling"
"""How the names of the classical upscaler's kernels end."""

Arrays = Mapping[str, NDArray[np.float32]]


def quantised_graph(graph: bytes, samples: Sequence[Arrays]) -> bytes:
    """An ONNX graph with its convolutions in 8 bits; the ranges of their inputs are `samples`'.

    samples: inputs of the graph by name, at least one.
    """
    model = onnx.load_from_string(graph)
    convolutions = [
        node
        for node in model.graph.node
        if node.op_type == "Conv" and not node.input[1].endswith(_UPSCALER)
    ]
    ranges = _ranges(model, sorted({node.input[0] for node in convolutions}), samples)
    weights = _values(model, [node.input[1] for node in convolutions], samples[0])
    constants: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []
    rounded: set[str] = set()
    for node in model.graph.node:
        if any(node is each for each in convolutions):
            source, kernel = node.input[0], node.input[1]
            if source not in rounded:
                rounded.add(source)
                nodes += _pair(source, *_input_levels(*ranges[source]), constants)
            node.input[0] = f"{source}.rounded"
            if kernel not in rounded:
                rounded.add(kernel)
                nodes += _pair(kernel, *_weight_levels(weights[kernel]), constants)
            node.input[1] = f"{kernel}.rounded"
        nodes.append(node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    model.graph.initializer.extend(constants)
    onnx.checker.check_model(model)
    serialised: bytes = model.SerializeToString()
    return serialised


def _pair(
    name: str,
    scale: NDArray[np.float32],
    zero: NDArray[np.integer],
    constants: list[onnx.TensorProto],
) -> Iterator[onnx.NodeProto]:
    """Nodes that round `name` to `name`.rounded; per row of a kernel where there are scales."""
    levels = [f"{name}.scale", f"{name}.zero"]
    constants += [
        numpy_helper.from_array(scale, levels[0]),
        numpy_helper.from_array(zero, levels[1]),
    ]
    # The axis says nothing where there is one scale for all.
    axis = 0 if scale.ndim else 1
    yield helper.make_node("QuantizeLinear", [name, *levels], [f"{name}.levels"], axis=axis)
    yield helper.make_node(
        "DequantizeLinear", [f"{name}.levels", *levels], [f"{name}.rounded"], axis=axis
    )


def _input_levels(low: float, high: float) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    scale = max(high - low, 1e-6) / INPUT_LEVELS
    return np.array(scale, np.float32), np.array(round(-low / scale), np.uint8)


def _weight_levels(kernel: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    largest = np.abs(kernel).reshape(len(kernel), -1).max(axis=1)
    scales = np.maximum(largest, 1e-12) / WEIGHT_LEVELS
    return scales.astype(np.float32), np.zeros(len(kernel), np.int8)


def _ranges(
    model: onnx.ModelProto, names: Sequence[str], samples: Sequence[Arrays]
) -> dict[str, tuple[float, float]]:
    """Where all but the outermost `TAIL_PERCENT` of the values of each lie, zero included."""
    session = _session(model, names)
    found = dict.fromkeys(names, (0.0, 0.0))
    for sample in samples:
        for name, value in zip(names, session.run(list(names), dict(sample)), strict=True):
            ends = np.percentile(value, (TAIL_PERCENT, 100 - TAIL_PERCENT))
            low, high = found[name]
            found[name] = min(low, float(ends[0])), max(high, float(ends[1]))
    return found


def _values(
    model: onnx.ModelProto, names: Sequence[str], sample: Arrays
) -> dict[str, NDArray[np.float32]]:
    """Kernels, of which some are parts of a weight, cut out in the graph."""
    constants = {each.name: each for each in model.graph.initializer}
    found = {name: numpy_helper.to_array(constants[name]) for name in names if name in constants}
    parts = [name for name in names if name not in constants]
    values = _session(model, parts).run(parts, dict(sample)) if parts else []
    return found | dict(zip(parts, values, strict=True))


def _session(model: onnx.ModelProto, names: Sequence[str]) -> LibraryObject:
    """Of the graph with more outputs."""
    library = import_library("onnxruntime", extra="onnxruntime")
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
    )
    return library.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
