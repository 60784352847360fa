"""Model artefacts whose weights were changed by a delta, in memory.

A delta names weights as the graphs do, which is as training does: `extract.…` and `fuse.…`. What
can be adapted is every weight and bias that all forms of the graphs hold under its own name. That
leaves out what predicts the offsets and masks of deformable convolutions, and most of their
kernels: they are rearranged for engines without that operator, and they are what a few minutes of
training are most likely to break.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from decoder.artefact import EXTRACT_FILE, GRAPH_FILES, Artefact, FuseForm, fuse_file
from decoder.onnx_weights import WeightPlace, find_weights, read_weight, replace_weights
from stream.errors import DeltaRefused
from stream.scene_signature import Signature
from stream.weight_chain import Changes

_ENDINGS = (".weight", ".bias")
_OFFSETS = ".conv_offset."
_FORMS: tuple[FuseForm, ...] = ("grid_sample", "deform_conv")

MAX_CHANGE_RATIO = 1.0
MAX_CHANGE_FLOOR = 0.05
"""Changes of a tensor may be as large as its weights were, in root mean square, or as this where
they are smaller: adaptation moves weights by a few per cent, and biases may start from zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownScene:
    """A scene of a stream. key: tells it from others; signatures: of one picture of it or more."""

    key: str
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdaptedWeights:
    """What a model becomes: all that is needed to open it.

    base_sha256: of the artefact. changes: added to its weights. digest: of the last delta.
    label: for people. valid_from_pts: first frame they are meant for, None for any.
    starts_anew: whether all others are of no use any more, also those that are being opened.
    scene: that they are for; None for all that have none of their own.
    """

    base_sha256: str
    changes: Changes
    digest: str
    label: str
    valid_from_pts: int | None = None
    starts_anew: bool = False
    scene: ShownScene | None = None

    def later(self, shift_pts: int) -> AdaptedWeights:
        """The same on a time that is so much ahead."""
        if self.valid_from_pts is None:
            return self
        return replace(self, valid_from_pts=self.valid_from_pts + shift_pts)


def own_weights(base_sha256: str) -> AdaptedWeights:
    """The weights that a model was published with, to go back to."""
    label = "the model's own weights"
    return AdaptedWeights(base_sha256=base_sha256, changes={}, digest="", label=label)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdaptedArtefact(Artefact):
    """A model with other weights.

    base: the one it was made from. graphs: its ONNX files. weights_name: of them, for people.
    """

    base: Artefact
    graphs: Mapping[str, bytes]
    weights_name: str

    @property
    def has_int8(self) -> bool:
        """See `Artefact.has_int8`: the ranges were those of other weights."""
        return False

    def extract_graph(self) -> bytes:
        """See `Artefact.extract_graph`."""
        return self.graphs[EXTRACT_FILE]

    def fuse_graph(self, form: FuseForm) -> bytes:
        """See `Artefact.fuse_graph`."""
        return self.graphs[fuse_file(form)]

    def verify(self) -> None:
        """See `Artefact.verify`; its own graphs were made from verified ones."""
        self.base.verify()


def adaptable_shapes(artefact: Artefact) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights that deltas may change, for `stream.weight_delta`.

    Raises ModelMismatch when a graph cannot be read.
    """
    return {name: place.shape for name, place in _adaptable(_read_graphs(artefact)).items()}


def adapt_artefact(base: Artefact, weights: AdaptedWeights) -> AdaptedArtefact:
    """`base` with these weights. Takes a few milliseconds.

    Raises DeltaRefused when they are for another model, name what it does not have, are not finite
    or change it beyond all measure; ModelMismatch when a graph cannot be read.
    """
    if weights.base_sha256 != base.sha256:
        raise DeltaRefused(
            f"{weights.label} is for another model than {base.manifest.name} (SHA-256"
            f" {weights.base_sha256[:12]}…, not {base.sha256[:12]}…)"
        )
    graphs = _read_graphs(base)
    adaptable = _adaptable(graphs)
    extract_places = find_weights(graphs[EXTRACT_FILE])
    deform_places = find_weights(graphs[fuse_file("deform_conv")])
    changed: dict[str, NDArray[np.float32]] = {}
    for name, change in weights.changes.items():
        if name not in adaptable or change.shape != adaptable[name].shape:
            raise DeltaRefused(f"{weights.label} changes {name}, which cannot be adapted")
        if name in extract_places:
            before = read_weight(graphs[EXTRACT_FILE], extract_places[name])
        else:
            before = read_weight(graphs[fuse_file("deform_conv")], deform_places[name])
        _check_size(before, change, name=name, label=weights.label)
        changed[name] = before + change
    adapted = {}
    for file, graph in graphs.items():
        places = find_weights(graph)
        ours = {name: values for name, values in changed.items() if name in places}
        adapted[file] = replace_weights(graph, places, ours)
    hashes = {name: hashlib.sha256(graph).hexdigest() for name, graph in adapted.items()}
    return AdaptedArtefact(
        folder=base.folder,
        manifest=replace(base.manifest, sha256={**base.manifest.sha256, **hashes}),
        base=base,
        graphs=adapted,
        weights_name=weights.label,
    )


def _check_size(
    before: NDArray[np.float32], change: NDArray[np.float32], *, name: str, label: str
) -> None:
    size = _root_mean_square(change)
    if not np.isfinite(size):
        raise DeltaRefused(f"{label} holds what is not a number, in {name}")
    limit = max(MAX_CHANGE_RATIO * _root_mean_square(before), MAX_CHANGE_FLOOR)
    if size > limit:
        raise DeltaRefused(f"{label} changes {name} by {size:.3g}, {limit:.3g} are allowed")


def _root_mean_square(values: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if values.size else 0.0


def _read_graphs(artefact: Artefact) -> dict[str, bytes]:
    """By file name."""
    graphs = {EXTRACT_FILE: artefact.extract_graph()}
    graphs |= {fuse_file(form): artefact.fuse_graph(form) for form in _FORMS}
    assert set(graphs) == set(GRAPH_FILES)
    return graphs


def _adaptable(graphs: Mapping[str, bytes]) -> dict[str, WeightPlace]:
    """Places in extract, or in fuse with DeformConv."""
    extract, deform, grid = (
        find_weights(graphs[file])
        for file in (EXTRACT_FILE, fuse_file("deform_conv"), fuse_file("grid_sample"))
    )
    fuse = {
        name: place
        for name, place in deform.items()
        if name in grid and grid[name].shape == place.shape and name not in extract
    }
    return {
        name: place
        for name, place in (extract | fuse).items()
        if name.endswith(_ENDINGS) and _OFFSETS not in name
    }
