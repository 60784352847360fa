"""How close a restored picture is to the original. Pure; luma only, as the field reports it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.errors import FrameError
from stream.frame import Plane

PEAK = 255.0

BEST_PSNR_DB = 100.0
"""Stands for the infinite PSNR of equal pictures, so that means over frames stay finite."""

SSIM_WINDOW, SSIM_STEP = 8, 4
"""Windows of 8x8 samples, every 4 samples: what x264 and ffmpeg report as SSIM."""

# Stabilising constants of Wang et al., "Image quality assessment: from error visibility to
# structural similarity", IEEE TIP 2004, section III.B.
_C1 = (0.01 * PEAK) ** 2
_C2 = (0.03 * PEAK) ** 2


def psnr_db(picture: Plane, original: Plane) -> float:
    """PSNR of a uint8 plane (H, W) against another of its size, at most BEST_PSNR_DB."""
    _check_sizes(picture, original)
    difference = picture.astype(np.int16) - original
    # np.dot would overflow; float64 sums of squares of bytes are exact up to 2**53.
    mean_square = float(np.mean(np.square(difference, dtype=np.float64)))
    if mean_square == 0:
        return BEST_PSNR_DB
    return min(BEST_PSNR_DB, 10 * float(np.log10(PEAK**2 / mean_square)))


def flicker_db(before: Plane, original_before: Plane, after: Plane, original_after: Plane) -> float:
    """How well the change from one frame to the next is that of the original, as a PSNR.

    uint8 planes (H, W) of one size. Damage that stays where it is does not count, damage that comes
    and goes does; at most BEST_PSNR_DB.
    """
    for plane in (original_before, after, original_after):
        _check_sizes(before, plane)
    change = after.astype(np.int16) - before
    difference = change - (original_after.astype(np.int16) - original_before)
    mean_square = float(np.mean(np.square(difference, dtype=np.float64)))
    if mean_square == 0:
        return BEST_PSNR_DB
    return min(BEST_PSNR_DB, 10 * float(np.log10(PEAK**2 / mean_square)))


def ssim(picture: Plane, original: Plane) -> float:
    """Mean SSIM, -1 to 1, of a uint8 plane (H, W) of at least 8x8 against another of its size."""
    _check_sizes(picture, original)
    if min(picture.shape) < SSIM_WINDOW:
        raise FrameError(f"SSIM needs 8x8 samples, got {picture.shape}")
    a, b = picture.astype(np.float64), original.astype(np.float64)
    mean_a, mean_b = _window_means(a), _window_means(b)
    variance = _window_means(a * a + b * b) - mean_a**2 - mean_b**2
    covariance = _window_means(a * b) - mean_a * mean_b
    likeness = ((2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)) / (
        (mean_a**2 + mean_b**2 + _C1) * (variance + _C2)
    )
    return float(likeness.mean())


def _window_means(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each window: sums over blocks of a step, then over the four blocks of a window."""
    rows, columns = (side // SSIM_STEP for side in samples.shape)
    blocks = samples[: rows * SSIM_STEP, : columns * SSIM_STEP]
    sums = blocks.reshape(rows, SSIM_STEP, columns, SSIM_STEP).sum(axis=(1, 3))
    windows = sums[:-1, :-1] + sums[1:, :-1] + sums[:-1, 1:] + sums[1:, 1:]
    means: NDArray[np.float64] = windows / SSIM_WINDOW**2
    return means


def _check_sizes(picture: Plane, original: Plane) -> None:
    if picture.shape != original.shape or picture.ndim != 2:
        raise FrameError(f"cannot compare a plane {picture.shape} with {original.shape}")
