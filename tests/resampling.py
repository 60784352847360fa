"""Upsampling by its definition, one output sample after the other."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def resampled(
    plane: NDArray[np.float64], scale: int, tap: Callable[[float], float], reach: float
) -> NDArray[np.float64]:
    """Enlarge (H, W) by `scale`: edges repeated, centres aligned, weights normed to one.

    tap: weight at a distance in samples, zero from `reach` on.
    """
    return _along_rows(_along_rows(plane, scale, tap, reach).T, scale, tap, reach).T


def _along_rows(
    plane: NDArray[np.float64], scale: int, tap: Callable[[float], float], reach: float
) -> NDArray[np.float64]:
    count = plane.shape[1]
    out = np.zeros((plane.shape[0], count * scale))
    for column in range(count * scale):
        centre = (column + 0.5) / scale - 0.5
        near = range(math.ceil(centre - reach), math.floor(centre + reach) + 1)
        weights = np.array([tap(index - centre) for index in near])
        samples = plane[:, np.clip(list(near), 0, count - 1)]
        out[:, column] = samples @ (weights / weights.sum())
    return out
