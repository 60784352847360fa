"""Rewrites a model's graph into what engines for GPUs take: 16-bit sums, bytes only at its edges.

Features, weights and activations become float16 or bfloat16. Sampling positions of GridSample stay
float32 from the convolution that predicts their offsets on: with its 11 bits for -1 to 1, float16
would put them off by a quarter of a cell at the sides of a 640 pixel wide picture, and bfloat16 by
eight times that. TensorRT takes bytes only
as inputs and outputs, so planes are converted at once, and back last.

Needs `onnx`, which the extra `tensorrt` installs.
"""

from __future__ import annotations

from decoder.backends.contract import HalfType, LibraryObject, import_library
from stream.errors import ModelMismatch

_FLOAT, _BYTE = 1, 2  # onnx.TensorProto.DataType
_HALVES: dict[HalfType, int] = {"f16": 10, "bf16": 16}

_STAYS_FLOAT = {"Resize": (1, 2), "Range": (0, 1, 2)}
"""Inputs that ONNX wants in float32, by operator: scales, and what has no 16-bit form."""

_GRID_INPUT = 1


def gpu_graph(graph: bytes, *, half: bool, half_type: HalfType = "f16") -> bytes:
    """An ONNX file with bytes at its edges alone and, for `half`, in 16 bits of that type.

    Raises BackendUnavailable without `onnx`, ModelMismatch when it is not a graph.
    """
    onnx = import_library("onnx", extra="'edvr-live[tensorrt]'")
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load_from_string(graph))
    except Exception as error:  # protobuf and the checker raise types of their own
        raise ModelMismatch(f"this is not an ONNX graph: {error}") from error
    _bytes_at_edges(onnx, model.graph)
    if half:
        _Halved(onnx, model.graph, half_type).rewrite()
    del model.graph.value_info[:]
    rewritten: bytes = model.SerializeToString()
    return rewritten


def _bytes_at_edges(onnx: LibraryObject, graph: LibraryObject) -> None:
    """Convert byte inputs first and to byte outputs last, whatever lies between."""
    for node in graph.node:
        if node.op_type == "Cast" and _target(node) == _BYTE:
            _retarget(node, _FLOAT)
    first = []
    for entry in graph.input:
        if entry.type.tensor_type.elem_type == _BYTE:
            inner = f"{entry.name}_float"
            _replace_input(graph, entry.name, inner)
            first.append(onnx.helper.make_node("Cast", [entry.name], [inner], to=_FLOAT))
    last = []
    for entry in graph.output:
        if entry.type.tensor_type.elem_type == _BYTE:
            inner = f"{entry.name}_float"
            for node in graph.node:
                node.output[:] = [inner if name == entry.name else name for name in node.output]
            _replace_input(graph, entry.name, inner)
            last.append(onnx.helper.make_node("Cast", [inner], [entry.name], to=_BYTE))
    nodes = [*first, *graph.node, *last]
    del graph.node[:]
    graph.node.extend(nodes)


class _Halved:
    """One graph on its way to 16 bits."""

    def __init__(self, onnx: LibraryObject, graph: LibraryObject, half_type: HalfType) -> None:
        self._onnx, self._graph = onnx, graph
        self._half = _HALVES[half_type]
        self._dtype = onnx.helper.tensor_dtype_to_np_dtype(self._half)
        self._producer = {name: node for node in graph.node for name in node.output}
        self._constants = {each.name: each for each in graph.initializer}
        self._types = self._float_types()
        self._exact = self._position_nodes()

    def rewrite(self) -> None:
        """Change the graph in place."""
        nodes: list[LibraryObject] = []
        made: dict[tuple[str, int], str] = {}  # (value, wanted type) -> converted value
        is_half: dict[str, bool] = {}
        for entry in self._graph.input:
            if entry.type.tensor_type.elem_type == _FLOAT and entry.name.startswith("w"):
                entry.type.tensor_type.elem_type = self._half  # features; all else stays as it is
                is_half[entry.name] = True
        constants: dict[str, LibraryObject] = {}
        for node in self._graph.node:
            is_exact = id(node) in self._exact
            for place, name in enumerate(node.input):
                if name not in self._types:
                    continue  # integers, and inputs that are left out
                stays = is_exact or place in _STAYS_FLOAT.get(node.op_type, ())
                wanted = _FLOAT if stays else self._half
                if node.op_type == "Cast":
                    continue
                if name in self._constants:
                    node.input[place] = self._constant(name, wanted, constants)
                elif is_half.get(name, False) != (wanted == self._half):
                    node.input[place] = self._converted(name, wanted, made, nodes)
            if node.op_type == "Cast" and _target(node) == _FLOAT and not is_exact:
                _retarget(node, self._half)
            if node.op_type == "Constant" and not is_exact:
                self._halve_constant_node(node)
            for name in node.output:
                is_half[name] = name in self._types and not is_exact
            nodes.append(node)
        self._finish(nodes, constants, is_half)

    def _finish(
        self,
        nodes: list[LibraryObject],
        constants: dict[str, LibraryObject],
        is_half: dict[str, bool],
    ) -> None:
        for entry in self._graph.output:
            if is_half.get(entry.name, False) and entry.type.tensor_type.elem_type == _FLOAT:
                entry.type.tensor_type.elem_type = self._half
        others = [each for each in self._graph.initializer if each.data_type != _FLOAT]
        del self._graph.initializer[:], self._graph.node[:]
        self._graph.initializer.extend([*others, *constants.values()])
        self._graph.node.extend(nodes)

    def _float_types(self) -> set[str]:
        """Names of all values that are float32."""
        entries = [*self._graph.value_info, *self._graph.input, *self._graph.output]
        names = {each.name for each in entries if each.type.tensor_type.elem_type == _FLOAT}
        names |= {each.name for each in self._graph.initializer if each.data_type == _FLOAT}
        for node in self._graph.node:  # in order, so that what `_bytes_at_edges` added is known
            if node.op_type == "Cast":
                names |= set(node.output) if _target(node) == _FLOAT else set()
            elif node.op_type in _SAME_TYPE and node.input[0] in names:
                names |= set(node.output)
        return names

    def _position_nodes(self) -> set[int]:
        """The samplers, and nodes between the convolutions that predict offsets and them: ids.

        TensorRT's sampler wants what it samples in the type of the positions.
        """
        samplers = [node for node in self._graph.node if node.op_type == "GridSample"]
        found = {id(node) for node in samplers}
        waiting = [node.input[_GRID_INPUT] for node in samplers]
        while waiting:
            node = self._producer.get(waiting.pop())
            if node is not None and node.op_type != "Conv" and id(node) not in found:
                found.add(id(node))
                waiting += [name for name in node.input if name in self._types]
        return found

    def _constant(self, name: str, wanted: int, constants: dict[str, LibraryObject]) -> str:
        if wanted == _FLOAT:
            constants[name] = self._constants[name]
            return name
        inner = f"{name}_half"
        if inner not in constants:
            values = self._onnx.numpy_helper.to_array(self._constants[name]).astype(self._dtype)
            constants[inner] = self._onnx.numpy_helper.from_array(values, inner)
        return inner

    def _halve_constant_node(self, node: LibraryObject) -> None:
        for attribute in node.attribute:
            if attribute.name == "value" and attribute.t.data_type == _FLOAT:
                values = self._onnx.numpy_helper.to_array(attribute.t).astype(self._dtype)
                attribute.t.CopyFrom(self._onnx.numpy_helper.from_array(values))

    def _converted(
        self,
        name: str,
        wanted: int,
        made: dict[tuple[str, int], str],
        nodes: list[LibraryObject],
    ) -> str:
        if (name, wanted) not in made:
            inner = f"{name}_{'half' if wanted == self._half else 'exact'}"
            nodes.append(self._onnx.helper.make_node("Cast", [name], [inner], to=wanted))
            made[name, wanted] = inner
        return made[name, wanted]


_SAME_TYPE = frozenset(
    ("Reshape", "Transpose", "Gather", "Slice", "Squeeze", "Unsqueeze", "Split", "Concat")
)
"""Operators whose output has the type of their first input, which may have been bytes before."""


def _replace_input(graph: LibraryObject, old: str, new: str) -> None:
    for node in graph.node:
        # Shape is asked of the original: any type will do, and it keeps its place in the order.
        if node.op_type != "Shape":
            node.input[:] = [new if name == old else name for name in node.input]


def _target(node: LibraryObject) -> int:
    return int(next(each.i for each in node.attribute if each.name == "to"))


def _retarget(node: LibraryObject, to: int) -> None:
    for attribute in node.attribute:
        if attribute.name == "to":
            attribute.i = to
