"""Pictures that can be laid over a frame at quarters of a sample. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.frame import Plane

Rgb = NDArray[np.float32]
"""(H, W, 3), gamma-coded BT.709 red, green and blue, 0..1."""

Alpha = NDArray[np.float32]
"""(H, W), coverage 0..1."""

QUARTERS = 4
"""Positions a luma sample: the precision of motion vectors in H.264; finer steps do not show."""

_TAPS = 8
"""Lanczos-4: keeps fine detail equally sharp at all positions, so a slow pan does not shimmer."""

Planes = tuple[Plane, Plane, Plane]

LUMA_LEVELS, CHROMA_LEVELS = (16, 235), (16, 240)
"""Limited range; interpolation overshoots at sharp edges."""


def to_yuv(rgb: Rgb) -> tuple[Rgb, Rgb, Rgb]:
    """Limited-range BT.709 Y, U, V (ITU-R BT.709-6 item 3), float32, all at full size."""
    red, green, blue = np.moveaxis(rgb, 2, 0)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return (
        np.asarray(16 + 219 * luma, np.float32),
        np.asarray(128 + 224 * (blue - luma) / 1.8556, np.float32),
        np.asarray(128 + 224 * (red - luma) / 1.5748, np.float32),
    )


def halve(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of each 2x2 block of an even-sized plane."""
    height, width = plane.shape
    blocks = plane.reshape(height // 2, 2, width // 2, 2)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)


class Layer:
    """A picture prepared once at all sub-sample positions, then laid over frames quickly."""

    def __init__(self, rgb: Rgb, alpha: Alpha | None = None) -> None:
        """rgb (H, W, 3) with even H and W; alpha (H, W), None for opaque."""
        self.height, self.width = rgb.shape[:2]
        y, u, v = to_yuv(rgb)
        half_alpha = None
        if alpha is not None:
            y, u, v = y * alpha, u * alpha, v * alpha
            half_alpha = halve(alpha)
        self._luma = _Shifted([y], alpha, QUARTERS, LUMA_LEVELS)
        halves = [halve(u), halve(v)]
        self._chroma = _Shifted(halves, half_alpha, 2 * QUARTERS, CHROMA_LEVELS)

    def draw(self, planes: Planes, *, left_quarters: int, top: int) -> None:
        """Lay it over (y, u, v) in place; its left edge at left_quarters / 4, `top` even."""
        self._luma.draw([planes[0]], -left_quarters, top)
        self._chroma.draw(list(planes[1:]), -left_quarters, top // 2)


class _Shifted:
    """Planes that share one coverage, at `phases` positions within a sample.

    Opaque ones are kept as they are drawn; others times 256, and times their coverage 0..1, with
    256 times what is left uncovered beside them.
    """

    def __init__(
        self,
        planes: list[NDArray[np.float32]],
        coverage: NDArray[np.float32] | None,
        phases: int,
        levels: tuple[int, int],
    ) -> None:
        low, high = levels
        self._phases = phases
        self._colour: list[list[NDArray[np.uint16]]] = []
        self._uncovered: list[NDArray[np.uint16]] = []
        for fraction in np.arange(phases) / phases:
            shifted = [_shift(plane, fraction) for plane in planes]
            if coverage is None:
                self._colour.append([_rounded(each, low, high) for each in shifted])
                continue
            weight = np.clip(_shift(coverage, fraction), 0, 1)
            self._uncovered.append(_rounded(256 * (1 - weight), 0, 256))
            scale = 256 * weight
            self._colour.append(
                [_rounded(256 * each, low * scale, high * scale) for each in shifted]
            )

    def draw(self, targets: list[Plane], source: int, top: int) -> None:
        """`source`: where the target's left edge lies in this picture, in phases of a sample."""
        first, phase = divmod(source, self._phases)
        for target, colour in zip(targets, self._colour[phase], strict=True):
            left, right = max(0, -first), min(target.shape[1], colour.shape[1] - first)
            upper, lower = max(0, top), min(target.shape[0], top + colour.shape[0])
            if left >= right or upper >= lower:
                continue
            cut = (slice(upper - top, lower - top), slice(left + first, right + first))
            into = target[upper:lower, left:right]
            if not self._uncovered:
                np.copyto(into, colour[cut], casting="unsafe")
                continue
            behind = into * self._uncovered[phase][cut]
            np.copyto(into, (colour[cut] + behind + 128) >> 8, casting="unsafe")


def _rounded(
    plane: NDArray[np.float32],
    low: float | NDArray[np.float32],
    high: float | NDArray[np.float32],
) -> NDArray[np.uint16]:
    return np.rint(np.clip(plane, low, high)).astype(np.uint16)


def _shift(plane: NDArray[np.float32], fraction: float) -> NDArray[np.float32]:
    """The plane sampled `fraction` (0..1) of a sample to the right, edges repeated."""
    if not fraction:
        return plane
    offsets = np.arange(_TAPS) - (_TAPS // 2 - 1)
    distance = offsets - fraction
    weights = np.sinc(distance) * np.sinc(distance / (_TAPS // 2))
    weights = (weights / weights.sum()).astype(np.float32)
    padded = np.pad(plane, ((0, 0), (_TAPS // 2 - 1, _TAPS // 2)), mode="edge")
    shifted = np.zeros_like(plane)
    for tap, weight in enumerate(weights):
        shifted += weight * padded[:, tap : tap + plane.shape[1]]
    return shifted
