"""What a model costs, counted in its graphs, so that no training library is needed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from decoder.artefact import Artefact
from decoder.backends.contract import LibraryObject, import_library, window_inputs
from stream.errors import ModelMismatch
from stream.frame import Size

_CONVOLUTIONS = ("Convolution", "GroupConvolution")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphCost:
    """Multiply-accumulates of the convolutions for one frame, and the features of one frame.

    Activations, resizing and sampling are not counted (a few percent). feature_shapes: of each
    feature, float32, (1, channels, rows, columns).
    """

    extract_macs: int
    fuse_macs: int
    feature_shapes: tuple[tuple[int, ...], ...]

    @property
    def frame_macs(self) -> int:
        """What one frame of a stream costs."""
        return self.extract_macs + self.fuse_macs

    @property
    def feature_bytes(self) -> int:
        """Memory that the features of one frame take in float32."""
        return 4 * sum(math.prod(shape) for shape in self.feature_shapes)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShapedGraphs:
    """A model's graphs for LR frames of one size, not compiled. feature_shapes: as in GraphCost."""

    extract: LibraryObject
    fuse: LibraryObject
    feature_shapes: tuple[tuple[int, ...], ...]


def count_cost(artefact: Artefact, lr_size: Size) -> GraphCost:
    """Cost of a model for LR frames of a size in its multiples; raises as `read_graphs`."""
    graphs = read_graphs(artefact, lr_size)
    return GraphCost(
        extract_macs=_macs(graphs.extract),
        fuse_macs=_macs(graphs.fuse),
        feature_shapes=graphs.feature_shapes,
    )


def read_graphs(artefact: Artefact, lr_size: Size) -> ShapedGraphs:
    """The graphs with every shape known, without compiling them.

    Raises BackendUnavailable without OpenVINO, whose reader is used, and ModelMismatch for graphs
    that it cannot read.
    """
    library = import_library("openvino", extra="openvino")
    half = [lr_size.height // 2, lr_size.width // 2]
    planes = {"y": [lr_size.height, lr_size.width], "u": half, "v": half, "quantiser": [1]}
    manifest = artefact.manifest
    try:
        core = library.Core()
        extract = _read(core, artefact.extract_path, planes)
        shapes = [tuple(extract.output(f"f{k}").get_shape()) for k in range(manifest.features)]
        fuse = core.read_model(artefact.fuse_path("grid_sample"))
        names = [port.any_name for port in fuse.inputs]
        places = window_inputs(names, window=manifest.window, features=manifest.features)
        fuse.reshape({name: list(shapes[k]) for name, (_, k) in places.items()})
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelMismatch(f"openvino cannot read {artefact.folder}: {reason}") from error
    return ShapedGraphs(extract=extract, fuse=fuse, feature_shapes=tuple(shapes))


def _read(core: LibraryObject, path: Path, shapes: dict[str, list[int]]) -> LibraryObject:
    graph = core.read_model(path)
    graph.reshape(shapes)
    return graph


def _macs(graph: LibraryObject) -> int:
    """Each output sample of a convolution takes one product per weight of its channel."""
    total = 0
    for node in graph.get_ops():
        if node.get_type_name() in _CONVOLUTIONS:
            frames, _, rows, columns = node.output(0).get_shape()
            total += frames * rows * columns * math.prod(node.input(1).get_shape())
    return total
