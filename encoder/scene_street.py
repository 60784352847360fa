"""First shot of the test scene: a street by day, a bus that rushes past, a bouncing ball."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from encoder.scene_ball import Ball
from encoder.scene_canvas import UNITS, Canvas
from encoder.scene_layer import QUARTERS, Planes, Rgb
from encoder.scene_textures import (
    Colour3,
    Field,
    bricks,
    mix,
    noise,
    paving,
    plaster,
    scatter_leaves,
    tinted,
)

PAN_UNITS = 400.0
"""How far the camera pans from one end to the other."""

PAN_PERIOD_S = 14.0
"""Time for a pan there and back; at most 90 units/s, 3.6 units a frame at 25 fps."""

BUS_PERIOD_S = 4.0
BUS_SPEED_UNITS_S = 700.0
BUS_TOP = 452.0

HEDGE_PARALLAX = 1.5
"""The hedge is nearer than the houses, so it passes by faster."""

GREENS: list[Colour3] = [
    (0.24, 0.40, 0.14), (0.30, 0.47, 0.17), (0.36, 0.52, 0.20), (0.20, 0.34, 0.13),
    (0.42, 0.54, 0.22),
]  # fmt: skip


class StreetShot:
    """Everything still is painted once; a frame is a few layers laid over each other."""

    def __init__(self, width: int, height: int) -> None:
        """Size of the picture in samples, both even."""
        self._unit = height / UNITS
        view = width / self._unit
        self._view = view
        self._houses = _paint_houses(view + PAN_UNITS + 4, self._unit).opaque_layer()
        self._bus = _paint_bus(self._unit).layer()
        self._hedge = _paint_hedge(view + HEDGE_PARALLAX * PAN_UNITS + 4, self._unit).layer()
        self._ball = Ball(radius=46 * self._unit, colours=((0.93, 0.16, 0.12), (0.97, 0.95, 0.9)))

    def draw(self, planes: Planes, time_s: float) -> None:
        """Paint the moment `time_s` into (y, u, v), which it covers completely."""
        pan = PAN_UNITS * (0.5 - 0.5 * np.cos(2 * np.pi * time_s / PAN_PERIOD_S))
        self._houses.draw(planes, left_quarters=self._quarters(-pan), top=0)
        self._draw_ball(planes, time_s, pan)
        bus_left = -620 + BUS_SPEED_UNITS_S * ((time_s + 3.2) % BUS_PERIOD_S) - 0.4 * pan
        top = 2 * round(BUS_TOP * self._unit / 2)
        self._bus.draw(planes, left_quarters=self._quarters(bus_left), top=top)
        hedge_top = planes[0].shape[0] - self._hedge.height
        self._hedge.draw(planes, left_quarters=self._quarters(-HEDGE_PARALLAX * pan), top=hedge_top)

    def _draw_ball(self, planes: Planes, time_s: float, pan: float) -> None:
        phase = time_s / 0.9
        bounce = 4 * (phase % 1) * (1 - phase % 1)
        track = self._view * 0.8
        there_and_back = abs((time_s * 260 / track + 0.6) % 2 - 1)
        x = 0.1 * self._view + track * there_and_back - 0.15 * pan
        y = 530 - 300 * bounce
        self._ball.draw(planes, x * self._unit, y * self._unit, turn=time_s * 2.6)

    def _quarters(self, units: float) -> int:
        return round(units * self._unit * QUARTERS)


def _paint_houses(width: float, unit: float) -> Canvas:
    canvas = Canvas(width, UNITS, unit=unit)
    canvas.fill(0, 0, width, 400, _sky)
    canvas.fill(0, 400, width, 122, (0.20, 0.30, 0.13))
    _paint_trees(canvas, width)
    for left in np.arange(0, width, 1500):
        _paint_brick_house(canvas, left + 40)
        _paint_plaster_house(canvas, left + 790)
    canvas.fill(
        0, 520, width, 82, lambda rows, columns: paving(rows, columns, slab=92 * unit, seed=7)
    )
    canvas.shadow(0, 512, width, 16, softness=14, depth=0.5)
    canvas.fill(0, 600, width, 10, (0.74, 0.72, 0.68))
    canvas.fill(0, 610, width, 110, _asphalt)
    for left in np.arange(30, width, 190):
        canvas.fill(left, 668, 110, 9, (0.86, 0.85, 0.80), coverage=0.85)
    return canvas


def _sky(rows: int, columns: int) -> Rgb:
    down = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    top, horizon = np.array((0.27, 0.50, 0.84)), np.array((0.80, 0.89, 0.97))
    sky = (top + (horizon - top) * down[..., None] ** 0.8).astype(np.float32)
    sky = np.broadcast_to(sky, (rows, columns, 3))
    cloud = np.clip(noise(rows, columns, seed=3, roll_off=1.7, stretch=2) * 0.7 - 0.25, 0, 1)
    return mix(sky, (0.98, 0.98, 0.99), cloud * (1 - 0.3 * down))


def _asphalt(rows: int, columns: int) -> Rgb:
    grain = noise(rows, columns, seed=11, roll_off=0.15)
    wear = noise(rows, columns, seed=12, roll_off=1.5, stretch=5)
    shade = 0.30 + 0.018 * grain + 0.02 * wear
    return np.asarray(np.clip(shade[..., None] * np.array((1, 1, 1.04)), 0, 1), np.float32)


def _paint_trees(canvas: Canvas, width: float) -> None:
    rng = np.random.default_rng(21)
    for place in np.arange(-40, width + 80, 74):
        centre, height = place + rng.uniform(-25, 25), rng.uniform(200, 330)
        canvas.fill(centre - 7, 520 - height + 120, 14, height - 120, (0.30, 0.22, 0.15))
        crown = 520 - height + 85
        canvas.disc(centre, crown, 70, lambda a, d: tinted((0.20, 0.33, 0.13), 1 - 0.3 * d + 0 * a))
        angle, distance = rng.uniform(0, 2 * np.pi, 300), np.sqrt(rng.uniform(0, 1, 300))
        x = centre + 75 * distance * np.cos(angle)
        y = crown + 95 * distance * np.sin(angle)
        _grow_leaves(canvas, x, y, length=17, seed=int(height))


def _grow_leaves(
    canvas: Canvas, x: NDArray[np.float64], y: NDArray[np.float64], *, length: float, seed: int
) -> None:
    """Leaves at positions in drawing units; lower ones hang over higher ones."""
    order = np.argsort(y)
    places = (np.stack((y[order], x[order]), axis=1) * canvas.unit).astype(np.int64)
    size = length * canvas.unit
    scatter_leaves(canvas.rgb, canvas.alpha, places, length=size, colours=GREENS, seed=seed)


def _paint_brick_house(canvas: Canvas, left: float) -> None:
    unit = canvas.unit
    canvas.fill(left, 70, 720, 452, lambda r, c: bricks(r, c, course=13 * unit, seed=31))
    canvas.fill(left - 10, 56, 740, 18, (0.80, 0.78, 0.73))
    canvas.shadow(left, 72, 720, 8, softness=12, depth=0.5)
    for column in range(4):
        _paint_window(canvas, left + 55 + 172 * column, 112, 96, 130, seed=column)
    canvas.fill(left + 30, 288, 660, 60, (0.10, 0.22, 0.20))
    canvas.fill(left + 34, 292, 652, 52, (0.13, 0.30, 0.27))
    canvas.text(left + 46, 302, 33, "EDVR & SONS, BAKERS", (0.96, 0.86, 0.55))
    _paint_awning(canvas, left + 30, 348)
    _paint_window(canvas, left + 60, 392, 210, 118, seed=9)
    _paint_window(canvas, left + 450, 392, 210, 118, seed=10)
    canvas.fill(left + 310, 380, 100, 142, (0.35, 0.12, 0.10))
    canvas.fill(left + 322, 394, 76, 58, (0.52, 0.62, 0.68))
    canvas.fill(left + 322, 462, 76, 50, (0.28, 0.09, 0.08))
    canvas.text(left + 333, 410, 14, "OPEN", (0.15, 0.15, 0.18))
    _paint_ivy(canvas, left)


def _paint_ivy(canvas: Canvas, left: float) -> None:
    rng = np.random.default_rng(41)
    count = 1900
    x = left + 720 - np.abs(rng.normal(0, 62, count))
    y = 60 + rng.uniform(0, 1, count) ** 1.5 * 470
    keep = x > left + 560 + 0.16 * y
    _grow_leaves(canvas, x[keep], y[keep], length=19, seed=42)


def _paint_window(
    canvas: Canvas, left: float, top: float, width: float, height: float, *, seed: int
) -> None:
    def glass(rows: int, columns: int) -> Rgb:
        down = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
        across = np.linspace(0, 1, columns, dtype=np.float32)[None, :]
        glint = 0.25 * (np.sin(9 * (across - 0.8 * down) + seed) > 0.72)
        shade = 0.28 + 0.22 * (1 - down) + glint
        cloud = 0.05 * noise(rows, columns, seed=50 + seed, roll_off=1.4)
        tone = np.asarray((shade + cloud)[..., None] * np.array((0.78, 0.92, 1.05)), np.float32)
        return np.clip(tone, 0, 1)

    canvas.shadow(left - 2, top + 2, width + 8, height + 6, softness=8, depth=0.5)
    canvas.fill(left - 7, top - 7, width + 14, height + 14, (0.90, 0.89, 0.85))
    canvas.fill(left, top, width, height, glass)
    for part in (1, 2):
        canvas.fill(left + width * part / 3 - 1.5, top, 3, height, (0.90, 0.89, 0.85))
    canvas.fill(left, top + height / 2 - 1.5, width, 3, (0.90, 0.89, 0.85))
    canvas.fill(left - 11, top + height + 7, width + 22, 7, (0.76, 0.74, 0.70))


def _paint_awning(canvas: Canvas, left: float, top: float) -> None:
    for stripe in range(33):
        colour = (0.80, 0.14, 0.13) if stripe % 2 else (0.96, 0.94, 0.90)
        canvas.fill(left + 20 * stripe, top, 20, 26, colour)
    canvas.shadow(left, top + 26, 660, 8, softness=9, depth=0.5)


def _paint_plaster_house(canvas: Canvas, left: float) -> None:
    ochre, blue = (0.88, 0.70, 0.42), (0.22, 0.36, 0.50)
    canvas.fill(left, 130, 470, 392, lambda r, c: plaster(r, c, ochre, seed=61))
    canvas.fill(left - 10, 112, 490, 22, (0.56, 0.26, 0.19))
    canvas.shadow(left, 132, 470, 8, softness=14, depth=0.5)
    for column in range(3):
        x = left + 62 + 142 * column
        _paint_window(canvas, x, 166, 62, 112, seed=20 + column)
        for shutter in (x - 38, x + 69):
            canvas.fill(shutter, 159, 31, 126, blue)
            for slat in range(20):
                canvas.fill(shutter + 4, 165 + 6 * slat, 23, 2, (0.34, 0.50, 0.64))
    _paint_poster(canvas, left + 36, 318)
    _paint_window(canvas, left + 250, 340, 170, 130, seed=30)


def _paint_poster(canvas: Canvas, left: float, top: float) -> None:
    canvas.shadow(left + 2, top + 3, 172, 190, softness=6, depth=0.4)
    canvas.fill(left, top, 172, 190, (0.95, 0.93, 0.86))
    canvas.fill(left + 8, top + 8, 156, 40, (0.16, 0.25, 0.44))
    canvas.text(left + 16, top + 17, 21, "CONCERT", (0.98, 0.92, 0.74))
    lines = (
        "Saturday 20:00 in the park", "Strings, brass and drums", "Bring a blanket & friends",
        "Doors 19:15  Seats 4/6/9", "Sharp in 720, gone in 360", "abcdefghijklmnopqrstuvwx",
        "0123456789 ABCDEFGHIJKLMN", "Rain: the same hour Sunday",
    )  # fmt: skip
    for number, line in enumerate(lines):
        canvas.text(left + 8, top + 56 + 16 * number, 7, line, (0.14, 0.14, 0.18))


def _paint_bus(unit: float) -> Canvas:
    canvas = Canvas(560, 196, unit=unit)
    red, dark = (0.78, 0.10, 0.12), (0.10, 0.10, 0.12)
    canvas.fill(6, 0, 548, 10, (0.62, 0.08, 0.10))
    canvas.fill(0, 8, 560, 156, red)
    canvas.fill(0, 100, 560, 4, (0.95, 0.90, 0.80))
    canvas.fill(0, 150, 560, 14, (0.50, 0.07, 0.08))
    for window in range(6):
        canvas.fill(18 + 88 * window, 22, 78, 66, (0.20, 0.27, 0.33))
        canvas.fill(18 + 88 * window, 22, 78, 26, (0.46, 0.58, 0.66))
        head = _Head(seed=window)
        canvas.disc(58 + 88 * window, 70, 17, head)
    canvas.fill(540, 110, 18, 18, (1.0, 0.94, 0.66))
    canvas.text(26, 112, 28, "LINE 25  LIVE EXPRESS", (0.98, 0.94, 0.82))
    for wheel in (100, 450):
        canvas.disc(wheel, 160, 34, _tyre)
    canvas.fill(0, 8, 3, 150, dark)
    return canvas


class _Head:
    """A passenger behind a window: smooth skin, dark hair."""

    def __init__(self, *, seed: int) -> None:
        self._tone = 0.45 + 0.12 * (seed % 4)

    def __call__(self, across: Field, down: Field) -> Rgb:
        light = np.clip(0.8 - 0.35 * across - 0.3 * down, 0.2, 1.15) * self._tone
        skin = light[..., None] * np.array((1.35, 1.0, 0.82))
        hair = np.clip((-down - 0.35 - 0.3 * across**2) * 12, 0, 1)
        return np.clip(mix(np.asarray(skin, np.float32), (0.14, 0.09, 0.07), hair), 0, 1)


def _tyre(across: Field, down: Field) -> Rgb:
    radius = np.hypot(across, down)
    rim = np.clip((0.6 - radius) * 20, 0, 1)
    spokes = 0.55 + 0.25 * np.cos(5 * np.arctan2(down, across))
    grey = 0.08 + rim * spokes
    return np.asarray(np.repeat(np.clip(grey, 0, 1)[..., None], 3, axis=2), np.float32)


def _paint_hedge(width: float, unit: float) -> Canvas:
    canvas = Canvas(width, 130, unit=unit)
    rng = np.random.default_rng(71)
    for start in np.arange(120, width, 1050):
        count = 1500
        x = start + rng.uniform(0, 520, count)
        hump = np.sqrt(np.clip(1 - ((x - start - 260) / 270) ** 2, 0, 1))
        y = 130 - rng.uniform(-0.05, 1, count) * 105 * hump
        _grow_leaves(canvas, x, y, length=26, seed=int(start))
    return canvas
