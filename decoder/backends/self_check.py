"""Checks an opened engine against the artefact's reference window.

Engines that build and then silently compute nonsense are known (GridSample on TensorRT), so no
backend is used before it has reproduced a picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from decoder.artefact_reference import Planes, Reference
from decoder.backends.contract import Backend
from stream.errors import InferenceFailed, ModelMismatch

HALF_MIN_PSNR_DB = 45.0
"""A 16-bit engine comes this close to the float32 picture: coding alone costs 25 to 40 dB."""

HALF_MAX_LEVELS = 2
"""Largest single difference allowed in 16 bits: rounding costs one level in trained networks, found
63 dB apart; a wrong tap or a shifted picture is off by far more at every edge."""

ADAPTED_MIN_PSNR_DB = 20.0
"""Adapted weights show nearly the same picture, sharper here and there: within 30 to 50 dB of the
base model's. Below this it is another picture, whatever the weights were meant to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """How far two pictures are apart, over all three planes, in 8-bit levels and dB."""

    max_levels: int
    psnr_db: float


def deviation(expected: Planes, found: Planes) -> Deviation:
    """Compare two pictures of the same size; the PSNR of equal pictures is infinite."""
    differences = np.concatenate(
        [(a.astype(np.int32) - b).ravel() for a, b in zip(expected, found, strict=True)]
    )
    mean_square = float(np.mean(np.square(differences)))
    return Deviation(
        max_levels=int(np.abs(differences).max()),
        psnr_db=float("inf") if mean_square == 0 else 10 * float(np.log10(255**2 / mean_square)),
    )


def check_reference(backend: Backend, reference: Reference, *, tolerance_levels: int) -> Deviation:
    """Run the reference window and compare.

    Raises ModelMismatch when the picture is off by more than `tolerance_levels` (float32), or by
    more than `HALF_MAX_LEVELS` or below `HALF_MIN_PSNR_DB` (16 bits), or when running fails.
    """
    off = _deviation_from(reference, backend)
    if backend.is_half_precision:
        is_good = off.max_levels <= HALF_MAX_LEVELS and off.psnr_db >= HALF_MIN_PSNR_DB
    else:
        is_good = off.max_levels <= tolerance_levels
    if not is_good:
        raise ModelMismatch(
            f"{backend.name} does not reproduce the model's reference picture: off by up to"
            f" {off.max_levels} levels, {off.psnr_db:.1f} dB"
        )
    return off


def check_adapted(backend: Backend, reference: Reference) -> Deviation:
    """Run the reference window of the base model by an engine that has adapted weights.

    Raises ModelMismatch when the picture is quite another one, or when running fails.
    """
    off = _deviation_from(reference, backend)
    if not off.psnr_db >= ADAPTED_MIN_PSNR_DB:
        raise ModelMismatch(
            f"{backend.name}: the adapted weights spoil the picture, {off.psnr_db:.1f} dB from the"
            " base model's"
        )
    return off


def _deviation_from(reference: Reference, backend: Backend) -> Deviation:
    try:
        found = backend.fuse([backend.extract(frame) for frame in reference.frames])
    except InferenceFailed as error:
        raise ModelMismatch(f"{backend.name} cannot run the reference: {error}") from error
    return deviation(reference.expected, found)
