"""A network small enough to compute by hand, as a real artefact with real ONNX graphs.

extract: f0 = y + 4 * max(quantiser, 0), f1 = (u, v). fuse: a fixed weighted mean over the window
of f0 and of f1, rounded, each sample repeated `scale` times in both directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from decoder.artefact import Artefact, Manifest, write_artefact
from decoder.artefact_reference import Planes, Reference, quantiser_input
from stream.frame import Frame, Plane

WEIGHTS = (0.125, 0.625, 0.25)
"""All different, so that a wrong order of the window shows; exact in bfloat16."""

MEAN = tuple(f"fuse.mean.{i}.weight" for i in range(3))
LIFT = "extract.lift.weight"
"""Names of its weights, which can be adapted: scalars, and what a quantiser counts, of shape (1,).
"""

LOOKAHEAD = 1
MULTIPLE_OF = 4
_OPSET = 20
Constants: TypeAlias = dict[str, ArrayLike]
_UINT8, _FLOAT = TensorProto.UINT8, TensorProto.FLOAT


def textured_frame(
    seed: int, *, width: int = 16, height: int = 8, pts: int = 0, quantiser: float | None = None
) -> Frame:
    """A frame of seeded noise, too weak to be taken for a scene cut."""
    rng = np.random.default_rng(seed)
    half = (height // 2, width // 2)
    return Frame(
        y=rng.integers(110, 130, (height, width), np.uint8),
        u=rng.integers(16, 241, half, np.uint8),
        v=rng.integers(16, 241, half, np.uint8),
        pts=pts,
        quantiser=quantiser,
    )


def expected_planes(
    window: Sequence[Frame],
    *,
    scale: int = 2,
    weights: Sequence[float] = WEIGHTS,
    lift: float = 4.0,
) -> Planes:
    """What the tiny network makes of a window, computed in numpy."""
    luma = [frame.y + lift * max(0.0, float(quantiser_input(frame)[0])) for frame in window]
    return (
        _mean_repeated(luma, scale, weights),
        _mean_repeated([frame.u.astype(float) for frame in window], scale, weights),
        _mean_repeated([frame.v.astype(float) for frame in window], scale, weights),
    )


def write_tiny_artefact(
    folder: Path,
    *,
    scale: int = 2,
    is_broken: bool = False,
    fails_above_mean: float | None = None,
    tier: str | None = None,
) -> Artefact:
    """Write the network into `folder`, which names it, and its tier unless that is given.

    is_broken: its reference promises something else than it computes.
    fails_above_mean: fuse fails at run time when the mean of the reference's luma is above it.
    """
    frames = tuple(textured_frame(i, quantiser=(None, 20.0, 51.0)[i]) for i in range(3))
    y, u, v = expected_planes(frames, scale=scale)
    if is_broken:
        y = np.roll(y, 4, axis=1)
    graphs = {
        "extract.onnx": _model(_extract_graph()),
        "fuse.grid_sample.onnx": _model(_fuse_graph(scale, deform=False, limit=fails_above_mean)),
        "fuse.deform_conv.onnx": _model(_fuse_graph(scale, deform=True, limit=fails_above_mean)),
    }
    manifest = Manifest(
        name=folder.name,
        version="1",
        tier=tier or folder.name.rpartition("-x")[0] or folder.name,
        scale=scale,
        window=3,
        lookahead=LOOKAHEAD,
        multiple_of=MULTIPLE_OF,
        inputs=("y", "u", "v", "quantiser"),
        features=2,
        colour="limited-range 4:2:0",
        codecs=("h264",),
        trained_on="nothing",
        licence="Apache-2.0",
        sha256={},
    )
    return write_artefact(
        folder,
        manifest,
        graphs={name: model.SerializeToString() for name, model in graphs.items()},
        reference=Reference(frames=frames, expected=(y, u, v)),
    )


def _mean_repeated(
    planes: Sequence[NDArray[np.floating]], scale: int, weights: Sequence[float]
) -> Plane:
    mean = np.tensordot(weights, np.stack(planes), axes=1)
    rounded: Plane = np.clip(np.round(mean), 0, 255).astype(np.uint8)
    return rounded.repeat(scale, axis=0).repeat(scale, axis=1)


def _extract_graph() -> GraphProto:
    nodes = [
        *_to_float("y"),
        *_to_float("u"),
        *_to_float("v"),
        helper.make_node("Relu", ["quantiser"], ["known"]),
        helper.make_node("Mul", ["known", LIFT], ["lift"]),
        helper.make_node("Add", ["y4", "lift"], ["f0"]),
        helper.make_node("Concat", ["u4", "v4"], ["f1"], axis=1),
    ]
    inputs = [
        helper.make_tensor_value_info("y", _UINT8, ["H", "W"]),
        helper.make_tensor_value_info("u", _UINT8, ["H2", "W2"]),
        helper.make_tensor_value_info("v", _UINT8, ["H2", "W2"]),
        helper.make_tensor_value_info("quantiser", _FLOAT, [1]),
    ]
    outputs = [
        helper.make_tensor_value_info("f0", _FLOAT, [1, 1, "H", "W"]),
        helper.make_tensor_value_info("f1", _FLOAT, [1, 2, "H2", "W2"]),
    ]
    constants: Constants = {"axes": [0, 1], LIFT: [4.0]}
    return helper.make_graph(nodes, "extract", inputs, outputs, _initialisers(constants))


def _to_float(name: str) -> list[NodeProto]:
    return [
        helper.make_node("Cast", [name], [f"{name}f"], to=_FLOAT),
        helper.make_node("Unsqueeze", [f"{name}f", "axes"], [f"{name}4"]),
    ]


def _fuse_graph(scale: int, *, deform: bool, limit: float | None) -> GraphProto:
    nodes, constants = _fuse_body(scale, deform=deform)
    if limit is not None:
        # An index of 0 is valid and 1 is not: Gather fails, in every engine, above the limit.
        constants |= {"limit": float(limit), "only": [0.0]}
        nodes = [
            helper.make_node("ReduceMean", ["w1_f0"], ["level"], keepdims=0),
            helper.make_node("Greater", ["level", "limit"], ["over"]),
            helper.make_node("Cast", ["over"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["only", "index"], ["zero"]),
            *nodes,
        ]
    else:
        constants |= {"zero": 0.0}
    inputs = [
        helper.make_tensor_value_info(f"w{i}_f{k}", _FLOAT, [1, k + 1, f"h{k}", f"w{k}"])
        for i in range(3)
        for k in range(2)
    ]
    outputs = [helper.make_tensor_value_info(name, _UINT8, [None, None]) for name in "yuv"]
    return helper.make_graph(nodes, "fuse", inputs, outputs, _initialisers(constants))


def _fuse_body(scale: int, *, deform: bool) -> tuple[list[NodeProto], Constants]:
    constants: Constants = {
        "axes": [0, 1],
        "scales": [1.0, 1.0, float(scale), float(scale)],
        "one": [[[[1.0]]]],
        "low": 0.0,
        "high": 255.0,
    }
    nodes = []
    for k in range(2):
        for i, weight in enumerate(WEIGHTS):
            constants[MEAN[i]] = weight
            nodes.append(helper.make_node("Mul", [f"w{i}_f{k}", MEAN[i]], [f"part{i}_{k}"]))
        nodes.append(helper.make_node("Sum", [f"part{i}_{k}" for i in range(3)], [f"sum{k}"]))
    luma = "sum0"
    if deform:  # an identity: 1x1 kernel of weight one, all offsets zero
        nodes += [
            helper.make_node("Concat", ["sum0", "sum0"], ["pair"], axis=1),
            helper.make_node("Sub", ["pair", "pair"], ["offsets"]),
            helper.make_node(
                "DeformConv", ["sum0", "one", "offsets"], ["aligned"], kernel_shape=[1, 1]
            ),
        ]
        luma = "aligned"
    nodes += [
        helper.make_node("Add", [luma, "zero"], ["guarded"]),
        helper.make_node("Split", ["sum1"], ["us", "vs"], axis=1, num_outputs=2),
    ]
    for source, name in (("guarded", "y"), ("us", "u"), ("vs", "v")):
        nodes += [
            helper.make_node(
                "Resize",
                [source, "", "scales"],
                [f"{name}_big"],
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            ),
            helper.make_node("Round", [f"{name}_big"], [f"{name}_round"]),
            helper.make_node("Clip", [f"{name}_round", "low", "high"], [f"{name}_clip"]),
            helper.make_node("Cast", [f"{name}_clip"], [f"{name}_byte"], to=_UINT8),
            helper.make_node("Squeeze", [f"{name}_byte", "axes"], [name]),
        ]
    return nodes, constants


def _initialisers(constants: Constants) -> list[TensorProto]:
    """Floats become float32 and integers int64, the types that ONNX operators take them in."""
    arrays = {name: np.asarray(value) for name, value in constants.items()}
    return [
        numpy_helper.from_array(
            array.astype(np.float32 if array.dtype.kind == "f" else np.int64), name
        )
        for name, array in arrays.items()
    ]


def _model(graph: GraphProto) -> ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10)
