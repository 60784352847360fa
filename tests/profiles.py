"""Profiles for real models, small and shipped."""

from __future__ import annotations

import math

import numpy as np

from decoder.adapted_artefact import adaptable_shapes
from decoder.artefact import Artefact
from stream.profile_file import ProfileInfo, encode_profile
from stream.scene_signature import Scene
from stream.weight_delta import DeltaHeader, QuantisedTensor, encode_delta


def delta_for(
    artefact: Artefact,
    *,
    scale: float = 0.03125,
    seed: int | None = None,
    sequence: int = 0,
    parent: str | None = None,
    valid_from_pts: int | None = None,
    only: tuple[str, ...] = (),
    scene: Scene | None = None,
) -> bytes:
    """Every weight (or `only` some) changes by `scale`, or with a `seed` by it or its negative."""
    rng = None if seed is None else np.random.default_rng(seed)
    shapes = adaptable_shapes(artefact)
    tensors = {}
    for name, shape in shapes.items():
        signs = np.ones(shape) if rng is None else rng.integers(-1, 2, shape)
        if name in (only or shapes):
            values = np.asarray(signs, np.int16).reshape(shape)
            tensors[name] = QuantisedTensor(values=values, scale=scale, bits=2)
    assert all(math.prod(tensor.values.shape) for tensor in tensors.values())
    header = DeltaHeader(
        base_sha256=artefact.sha256,
        sequence=sequence,
        parent=parent,
        valid_from_pts=valid_from_pts,
        scene=scene,
    )
    return encode_delta(header, tensors, expected_shapes=shapes)


def profile_for(
    artefact: Artefact,
    *,
    scale: float = 0.03125,
    seed: int | None = None,
    scene: Scene | None = None,
) -> bytes:
    """The file of a profile whose delta is as `delta_for` makes it."""
    info = ProfileInfo(
        name="a test",
        base_model=artefact.manifest.name,
        base_version=artefact.manifest.version,
        trained_on="nothing",
        licence="CC0-1.0",
        gains={"psnr_y_db": 0.25},
    )
    return encode_profile(info, delta_for(artefact, scale=scale, seed=seed, scene=scene))
