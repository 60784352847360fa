"""A drawing board in units of 1/720 of the picture height, so a shot looks alike at any size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from encoder.scene_font import text_mask
from encoder.scene_layer import Alpha, Layer, Rgb
from encoder.scene_textures import Colour3, Field

UNITS = 720
"""Height of every shot in drawing units."""

Texture = Callable[[int, int], Rgb]
"""(height, width) in samples -> a surface of that size."""


class Canvas:
    """An RGB picture with coverage; all positions and lengths are in drawing units."""

    def __init__(self, width: float, height: float, *, unit: float) -> None:
        """`unit`: samples a drawing unit. Sizes are rounded up to even samples."""
        self.unit = unit
        rows, columns = _even(height * unit), _even(width * unit)
        self.rgb: Rgb = np.zeros((rows, columns, 3), np.float32)
        self.alpha: Alpha = np.zeros((rows, columns), np.float32)

    def fill(
        self,
        left: float,
        top: float,
        width: float,
        height: float,
        surface: Colour3 | Texture,
        *,
        coverage: float = 1.0,
    ) -> None:
        """Lay a colour or texture over a rectangle, clipped at the edges."""
        x, y = round(left * self.unit), round(top * self.unit)
        columns = min(self.rgb.shape[1], round((left + width) * self.unit)) - x
        rows = min(self.rgb.shape[0], round((top + height) * self.unit)) - y
        if rows < 1 or columns < 1:
            return
        picture = (
            surface(rows, columns)
            if callable(surface)
            else np.broadcast_to(np.asarray(surface, np.float32), (rows, columns, 3))
        )
        self.paste(x, y, picture, np.full((rows, columns), coverage, np.float32))

    def paste(self, x: int, y: int, picture: Rgb, coverage: Field) -> None:
        """Blend a picture at sample position (x, y), clipped at the edges."""
        rows, columns = coverage.shape
        left, upper = max(0, x), max(0, y)
        right, lower = min(self.rgb.shape[1], x + columns), min(self.rgb.shape[0], y + rows)
        if left >= right or upper >= lower:
            return
        cut = (slice(upper - y, lower - y), slice(left - x, right - x))
        weight = coverage[cut]
        area = self.rgb[upper:lower, left:right]
        area += weight[..., None] * (picture[cut] - area)
        under = self.alpha[upper:lower, left:right]
        np.maximum(under, weight, out=under)

    def text(self, left: float, top: float, height: float, text: str, colour: Colour3) -> None:
        """One line of text, `height` units tall (at least 7 samples: the dots of the font)."""
        mask = text_mask(text, max(7, round(height * self.unit)))
        picture = np.broadcast_to(np.asarray(colour, np.float32), (*mask.shape, 3))
        self.paste(round(left * self.unit), round(top * self.unit), picture, mask)

    def shadow(
        self, left: float, top: float, width: float, height: float, *, softness: float, depth: float
    ) -> None:
        """Darken a rounded area by up to `depth` (0..1), fading over `softness` units."""
        reach = softness
        x, y = round((left - reach) * self.unit), round((top - reach) * self.unit)
        columns = max(1, round((width + 2 * reach) * self.unit))
        rows = max(1, round((height + 2 * reach) * self.unit))
        across = np.abs(np.linspace(-1, 1, columns, dtype=np.float32))[None, :]
        down = np.abs(np.linspace(-1, 1, rows, dtype=np.float32))[:, None]
        inside_x, inside_y = width / (width + 2 * reach), height / (height + 2 * reach)
        outside = np.hypot(
            np.clip((across - inside_x) / max(1e-6, 1 - inside_x), 0, 1),
            np.clip((down - inside_y) / max(1e-6, 1 - inside_y), 0, 1),
        )
        fade = depth * np.clip(1 - outside, 0, 1) ** 2 * (3 - 2 * np.clip(1 - outside, 0, 1))
        black = np.zeros((rows, columns, 3), np.float32)
        before = self.alpha.copy()  # a shadow covers nothing
        self.paste(x, y, black, np.asarray(fade, np.float32))
        self.alpha = before

    def disc(
        self, x: float, y: float, radius: float, surface: Callable[[Field, Field], Rgb]
    ) -> None:
        """A disc; `surface` gets (across, down) from -1 to 1 and returns its colours."""
        side = int(np.ceil(2 * radius * self.unit)) + 4
        left, top = round(x * self.unit) - side // 2, round(y * self.unit) - side // 2
        grid = np.arange(side, dtype=np.float32) + 0.5
        across = ((grid + left - x * self.unit) / (radius * self.unit))[None, :]
        down = ((grid + top - y * self.unit) / (radius * self.unit))[:, None]
        across, down = np.broadcast_arrays(across, down)
        edge = (1 - np.hypot(across, down)) * radius * self.unit
        coverage = np.clip(edge + 0.5, 0, 1).astype(np.float32)
        self.paste(left, top, surface(across, down), coverage)

    def opaque_layer(self) -> Layer:
        """The picture, ready to be laid over frames as their background."""
        return Layer(self.rgb)

    def layer(self) -> Layer:
        """The picture where it is covered, transparent elsewhere."""
        return Layer(self.rgb, self.alpha)


def _even(length: float) -> int:
    return 2 * max(1, int(np.ceil(length / 2)))
