"""Models with other weights, in every form of their graphs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decoder.adapted_artefact import (
    AdaptedArtefact,
    AdaptedWeights,
    adapt_artefact,
    adaptable_shapes,
)
from decoder.artefact import GRAPH_FILES, Artefact, find_artefact
from decoder.artefact_reference import Planes
from decoder.backends import (
    BackendConfig,
    OnnxRuntimeConfig,
    OnnxRuntimeGpuConfig,
    OpenVinoConfig,
    TorchConfig,
    open_backend,
)
from decoder.backends.self_check import deviation
from decoder.onnx_weights import find_weights, read_weight
from stream.errors import DeltaRefused, ModelMismatch
from stream.frame import Size
from tests.tiny_artefact import LIFT, MEAN, expected_planes, textured_frame, write_tiny_artefact

SIZE = Size(width=32, height=24)
CONFIGS: list[BackendConfig] = [
    OnnxRuntimeConfig(threads=1),
    OpenVinoConfig(threads=1, half=False),
    TorchConfig(threads=1),
    OnnxRuntimeGpuConfig(provider="cpu", half=False),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return write_tiny_artefact(tmp_path_factory.mktemp("models") / "tiny-x2")


def weights(
    artefact: Artefact, changes: Mapping[str, Any], base_sha256: str | None = None
) -> AdaptedWeights:  # Any: whatever numpy takes
    return AdaptedWeights(
        base_sha256=base_sha256 or artefact.sha256,
        changes={name: np.asarray(change, np.float32) for name, change in changes.items()},
        digest="0" * 64,
        label="a test's weights",
    )


def restored(artefact: Artefact, config: BackendConfig, *, size: Size = SIZE) -> Planes:
    backend = open_backend(config, artefact, size)
    try:
        window = [
            textured_frame(seed, width=size.width, height=size.height, quantiser=51.0)
            for seed in range(3)
        ]
        return backend.fuse([backend.extract(frame) for frame in window])
    finally:
        backend.close()


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_every_backend_computes_with_the_adapted_weights(
    tiny: Artefact, config: BackendConfig
) -> None:
    adapted = adapt_artefact(tiny, weights(tiny, {MEAN[0]: 0.03125, LIFT: [2.0]}))
    window = [textured_frame(seed, width=32, height=24, quantiser=51.0) for seed in range(3)]
    expected = expected_planes(window, weights=(0.15625, 0.625, 0.25), lift=6.0)
    assert deviation(expected, restored(adapted, config)).max_levels <= 1
    assert deviation(expected_planes(window), restored(tiny, config)).max_levels <= 1
    assert deviation(expected, restored(tiny, config)).max_levels > 2


@pytest.mark.parametrize("model", ["live-xs-x2", "live-xs-x4"])
def test_both_forms_of_a_shipped_model_take_a_change_of_all_that_can_be_adapted_alike(
    model: str,
) -> None:
    base = find_artefact(model)
    shapes = adaptable_shapes(base)
    rng = np.random.default_rng(1)
    changes = {name: rng.normal(0, 0.004, shape) for name, shape in shapes.items()}
    adapted = adapt_artefact(base, weights(base, changes))
    size = Size(width=64, height=48)
    one = restored(adapted, OnnxRuntimeConfig(threads=1), size=size)  # DeformConv
    other = restored(adapted, OpenVinoConfig(threads=1, half=False), size=size)  # GridSample
    assert deviation(one, other).max_levels <= 1
    before = restored(base, OnnxRuntimeConfig(threads=1), size=size)
    assert deviation(before, one).max_levels >= 2


def test_nearly_all_weights_of_a_shipped_model_can_be_adapted_but_not_the_classical_upscaler() -> (
    None
):
    base = find_artefact("live-xs-x2")
    shapes = adaptable_shapes(base)
    assert {"extract.conv_first.weight", "fuse.fusion.weight", "fuse.conv_last.bias"} <= set(shapes)
    assert not any("upsampling" in name or "conv_offset" in name for name in shapes)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) > 60_000


def test_the_base_stays_as_it_is_and_the_adapted_one_has_hashes_of_its_own(tiny: Artefact) -> None:
    before = [tiny.extract_graph(), tiny.fuse_graph("deform_conv")]
    adapted = adapt_artefact(tiny, weights(tiny, {MEAN[1]: -0.0625}))
    assert isinstance(adapted, AdaptedArtefact)
    assert [tiny.extract_graph(), tiny.fuse_graph("deform_conv")] == before
    assert adapted.sha256 != tiny.sha256
    other = adapt_artefact(tiny, weights(tiny, {MEAN[1]: -0.03125}))
    assert other.sha256 not in (adapted.sha256, tiny.sha256)
    again = adapt_artefact(tiny, weights(tiny, {MEAN[1]: -0.0625}))
    assert again.sha256 == adapted.sha256
    adapted.verify()
    for form in ("grid_sample", "deform_conv"):
        graph = adapted.fuse_graph(form)
        assert read_weight(graph, find_weights(graph)[MEAN[1]]) == np.float32(0.5625)
    assert set(adapted.graphs) == set(GRAPH_FILES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fuse.unknown.weight": [1.0]}, "cannot be adapted"),
        ({"zero": 0.0}, "cannot be adapted"),  # a constant, not a weight
        ({LIFT: [1.0, 1.0]}, "cannot be adapted"),  # another shape
        ({LIFT: [float("nan")]}, "not a number"),
        ({LIFT: [float("inf")]}, "not a number"),
        ({LIFT: [4.5]}, "4 are allowed"),
        ({MEAN[0]: 0.13}, "0.125 are allowed"),
    ],
)
def test_weights_that_a_model_cannot_have_are_refused(
    tiny: Artefact, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(DeltaRefused, match=message):
        adapt_artefact(tiny, weights(tiny, changes))


def test_weights_of_another_model_are_refused(tiny: Artefact) -> None:
    with pytest.raises(DeltaRefused, match="for another model than tiny-x2"):
        adapt_artefact(tiny, weights(tiny, {LIFT: [1.0]}, base_sha256="ab" * 32))


def test_an_engine_must_compute_the_base_right_before_it_may_compute_adapted_weights(
    tmp_path: Path,
) -> None:
    broken = write_tiny_artefact(tmp_path / "broken-x2", is_broken=True)
    adapted = adapt_artefact(broken, weights(broken, {LIFT: [1.0]}))
    with pytest.raises(ModelMismatch, match="reference picture"):
        open_backend(OnnxRuntimeConfig(threads=1), adapted, SIZE)


def test_weights_that_spoil_the_picture_are_refused_by_the_engine(tiny: Artefact) -> None:
    adapted = adapt_artefact(tiny, weights(tiny, dict.fromkeys(MEAN, -0.125)))
    with pytest.raises(ModelMismatch, match="spoil the picture"):
        open_backend(OnnxRuntimeConfig(threads=1), adapted, SIZE)


def test_weights_are_moved_to_another_time_with_their_stream(tiny: Artefact) -> None:
    now = weights(tiny, {})
    assert now.later(1000) is now
    timed = dataclasses.replace(now, valid_from_pts=500)
    assert timed.later(-700).valid_from_pts == -200
