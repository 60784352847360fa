"""A spinning ball of the test scene, drawn anew in each frame at any position. Pure."""

from __future__ import annotations

import numpy as np

from encoder.scene_layer import Planes, Rgb, halve, to_yuv
from encoder.scene_textures import Colour3, Field, noise
from stream.frame import Plane

_LIGHT = np.array((-0.45, -0.62, 0.64), np.float32)
"""Unit vector towards the light: from the upper left, in front."""


class Ball:
    """A glossy ball in two colours: slices like an orange, with speckles."""

    def __init__(
        self, *, radius: float, colours: tuple[Colour3, Colour3], is_flat: bool = False
    ) -> None:
        """radius in samples, at least 1 is drawn; is_flat makes it a disc with eight sectors."""
        self._radius = max(1.0, radius)
        self._is_flat = is_flat
        self._colours = np.asarray(colours, np.float32)
        self._speckle = 1 + 0.10 * noise(64, 128, seed=5, roll_off=0.2)

    def draw(self, planes: Planes, x: float, y: float, *, turn: float) -> None:
        """Blend it into (y, u, v) in place with its centre at (x, y) in samples, any fraction.

        turn: rotation in radians. Parts outside the frame are cut off.
        """
        height, width = planes[0].shape
        reach = self._radius + 2
        left, right = _even_span(x, reach, width)
        top, bottom = _even_span(y, reach, height)
        if left >= right or top >= bottom:
            return
        across = ((np.arange(left, right, dtype=np.float32) + 0.5 - x) / self._radius)[None, :]
        down = ((np.arange(top, bottom, dtype=np.float32) + 0.5 - y) / self._radius)[:, None]
        distance = np.hypot(across, down)
        alpha = np.clip((1 - distance) * self._radius + 0.5, 0, 1).astype(np.float32)
        shade = self._disc if self._is_flat else self._sphere
        luma, u, v = to_yuv(shade(across, down, turn))
        _blend(planes[0][top:bottom, left:right], luma, alpha)
        half = (slice(top // 2, bottom // 2), slice(left // 2, right // 2))
        half_alpha = halve(alpha)
        _blend(planes[1][half], halve(u), half_alpha)
        _blend(planes[2][half], halve(v), half_alpha)

    def _disc(self, across: Field, down: Field, turn: float) -> Rgb:
        angle = np.arctan2(down, across) - turn + 0.9 * np.hypot(across, down)
        sector = np.floor(angle * (4 / np.pi)).astype(int) % 2
        return np.asarray(self._colours[sector], np.float32)

    def _sphere(self, across: Field, down: Field, turn: float) -> Rgb:
        depth = np.sqrt(np.clip(1 - across**2 - down**2, 0, 1))
        # The axis of the slices is tilted, then everything turns in the picture plane.
        cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        turned_x = across * cosine + down * sine
        turned_y = down * cosine - across * sine
        longitude = np.arctan2(turned_x, 0.8 * depth + 0.6 * turned_y)
        latitude = 0.8 * turned_y - 0.6 * depth
        is_second = (np.floor(longitude * (3 / np.pi) + 3).astype(int) % 2) == 1
        rows = ((latitude + 1) * 31.9).astype(int) % 64
        columns = ((longitude / np.pi + 1) * 63.9).astype(int) % 128
        colour = self._colours[is_second.astype(int)] * self._speckle[rows, columns][..., None]
        light = np.clip(across * _LIGHT[0] + down * _LIGHT[1] + depth * _LIGHT[2], 0, 1)
        shine = 0.65 * light**24
        shaded = colour * (0.32 + 0.78 * light)[..., None] + shine[..., None]
        return np.asarray(np.clip(shaded, 0, 1), np.float32)


def draw_stroke(
    planes: Planes,
    start: tuple[float, float],
    end: tuple[float, float],
    *,
    thickness: float,
    colour: Colour3,
) -> None:
    """Blend a straight line with round ends from `start` to `end`, (x, y) in samples, in place."""
    height, width = planes[0].shape
    radius = max(0.5, thickness / 2)
    middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    left, right = _even_span(middle[0], abs(end[0] - start[0]) / 2 + radius + 2, width)
    top, bottom = _even_span(middle[1], abs(end[1] - start[1]) / 2 + radius + 2, height)
    if left >= right or top >= bottom:
        return
    x = (np.arange(left, right, dtype=np.float32) + 0.5 - start[0])[None, :]
    y = (np.arange(top, bottom, dtype=np.float32) + 0.5 - start[1])[:, None]
    run, rise = end[0] - start[0], end[1] - start[1]
    along = np.clip((x * run + y * rise) / max(run * run + rise * rise, 1e-6), 0, 1)
    distance = np.hypot(x - along * run, y - along * rise)
    alpha = np.clip(radius - distance + 0.5, 0, 1).astype(np.float32)
    values = to_yuv(np.asarray(colour, np.float32).reshape(1, 1, 3))
    half = (slice(top // 2, bottom // 2), slice(left // 2, right // 2))
    _blend(planes[0][top:bottom, left:right], values[0], alpha)
    _blend(planes[1][half], values[1], halve(alpha))
    _blend(planes[2][half], values[2], halve(alpha))


def _even_span(centre: float, reach: float, limit: int) -> tuple[int, int]:
    first = max(0, 2 * int((centre - reach) // 2))
    last = min(limit, 2 * int((centre + reach) // 2 + 1))
    return first, last


def _blend(target: Plane, source: Field, alpha: Field) -> None:
    blended = target + alpha * (source - target)
    np.copyto(target, np.rint(blended), casting="unsafe")
