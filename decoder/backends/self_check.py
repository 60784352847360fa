"""Checks an opened engine against the artefact's reference window.

Engines that build and then silently compute nonsense are known (GridSample on TensorRT), so no
backend is used before it has reproduced a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from decoder.artefact_reference import Planes, Reference
from decoder.backends.contract import Backend, OpenVinoConfig
from stream.errors import InferenceFailed, ModelMismatch
from stream.frame import Frame, Plane, Size

HALF_MIN_PSNR_DB = 45.0
"""A 16-bit engine comes this close to the float32 picture: coding alone costs 25 to 40 dB."""

HALF_MAX_LEVELS = 2
"""Largest single difference allowed in 16 bits: rounding costs one level in trained networks, found
63 dB apart; a wrong tap or a shifted picture is off by far more at every edge."""

INT8_MIN_PSNR_DB = 40.0
"""An engine in 8 bits comes this close to the float32 picture of the reference, whose edges and
noise are harder than any filmed picture's; one that overflows its sums was found at 30."""

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
    more than `HALF_MAX_LEVELS` or below `HALF_MIN_PSNR_DB` (16 bits), or below `INT8_MIN_PSNR_DB`
    (8 bits), or when running fails.
    """
    off = deviation(reference.expected, _restored(backend, reference.frames))
    if isinstance(backend.config, OpenVinoConfig) and backend.config.int8:
        is_good = off.psnr_db >= INT8_MIN_PSNR_DB
    elif backend.is_half_precision:
        is_good = off.max_levels <= HALF_MAX_LEVELS and off.psnr_db >= HALF_MIN_PSNR_DB
    else:
        is_good = off.max_levels <= tolerance_levels
    if not is_good:
        raise ModelMismatch(
            f"{backend.name} does not reproduce the model's reference picture: off by up to"
            f" {off.max_levels} levels, {off.psnr_db:.1f} dB"
        )
    return off


def check_adapted(backend: Backend, reference: Reference, lr_size: Size) -> Deviation:
    """Run the base model's reference window by an engine that has adapted weights.

    The engine may be open for any size, so that none is compiled for this alone: the window lies in
    its upper left corner, and what is near the other sides of it does not count. Raises
    ModelMismatch when the picture is quite another one, or when running fails.
    """
    scale = reference.expected[0].shape[0] // reference.size.height
    height = 3 * min(lr_size.height, reference.size.height) // 4 // 2 * 2 * scale
    width = 3 * min(lr_size.width, reference.size.width) // 4 // 2 * 2 * scale
    window = tuple(_in_corner(frame, lr_size) for frame in reference.frames)
    y, u, v = _restored(backend, window)
    off = deviation(_corner(reference.expected, height, width), _corner((y, u, v), height, width))
    if not off.psnr_db >= ADAPTED_MIN_PSNR_DB:
        raise ModelMismatch(
            f"{backend.name}: the adapted weights spoil the picture, {off.psnr_db:.1f} dB from the"
            " base model's"
        )
    return off


def _corner(planes: Planes, height: int, width: int) -> Planes:
    """The upper left part; sizes are of luma."""
    y, u, v = planes
    half = slice(height // 2), slice(width // 2)
    return y[:height, :width], u[half], v[half]


def _in_corner(frame: Frame, size: Size) -> Frame:
    """`frame` cut off or continued to the right and below to be of this size."""

    def fitted(plane: Plane, height: int, width: int) -> Plane:
        part = plane[:height, :width]
        more = ((0, height - part.shape[0]), (0, width - part.shape[1]))
        return np.pad(part, more, mode="edge")

    half = size.height // 2, size.width // 2
    return replace(
        frame,
        y=fitted(frame.y, size.height, size.width),
        u=fitted(frame.u, *half),
        v=fitted(frame.v, *half),
    )


def _restored(backend: Backend, window: Sequence[Frame]) -> Planes:
    try:
        return backend.fuse([backend.extract(frame) for frame in window])
    except InferenceFailed as error:
        raise ModelMismatch(f"{backend.name} cannot run the reference: {error}") from error
