"""Second shot of the test scene: a table in front of a curtain, a clock, a pinwheel, news text."""

from __future__ import annotations

import numpy as np

from encoder.scene_ball import Ball, draw_stroke
from encoder.scene_canvas import UNITS, Canvas
from encoder.scene_layer import QUARTERS, Layer, Planes, Rgb
from encoder.scene_textures import Colour3, Field, cloth, noise, plaster, tinted, wood

PAN_UNITS = 260.0
PAN_PERIOD_S = 12.0
"""At most 68 units/s, 2.7 units a frame at 25 fps: slow enough for every sub-sample position."""

TICKER_UNITS_S = 150.0
TICKER_HEIGHT = 40
TICKER_TEXT = (
    "edvr-live test scene  +  720p sent as 360p, rebuilt at the other end  +  "
    "0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ abcdefghijklmnopqrstuvwxyz  +  "
)

PINWHEEL_TURNS_S = 0.6
PENDULUM_PERIOD_S = 1.8

SKIN_TONES: list[Colour3] = [(0.94, 0.74, 0.62), (0.76, 0.53, 0.38), (0.44, 0.28, 0.20)]


class StudioShot:
    """Everything still is painted once; a frame is a few layers laid over each other."""

    def __init__(self, width: int, height: int) -> None:
        """Size of the picture in samples, both even."""
        self._unit = height / UNITS
        self._table = _paint_table(width / self._unit + PAN_UNITS + 4, self._unit).opaque_layer()
        self._ticker = _paint_ticker(width / self._unit, self._unit)
        self._ticker_loop = 6 / 7 * 22 * len(TICKER_TEXT)
        red, yellow = (0.90, 0.22, 0.20), (0.98, 0.80, 0.22)
        self._pinwheel = Ball(radius=72 * self._unit, colours=(red, yellow), is_flat=True)
        blue, white = (0.12, 0.34, 0.76), (0.95, 0.95, 0.92)
        self._pendulum = Ball(radius=34 * self._unit, colours=(blue, white))

    def draw(self, planes: Planes, time_s: float) -> None:
        """Paint the moment `time_s` into (y, u, v), which it covers completely."""
        unit = self._unit
        pan = PAN_UNITS * (0.5 + 0.5 * np.cos(2 * np.pi * time_s / PAN_PERIOD_S))
        self._table.draw(planes, left_quarters=self._quarters(-pan), top=0)
        self._draw_clock(planes, time_s, pan)
        turn = 2 * np.pi * PINWHEEL_TURNS_S * time_s
        self._pinwheel.draw(planes, (1050 - pan) * unit, 250 * unit, turn=turn)
        swing = 0.9 * np.sin(2 * np.pi * time_s / PENDULUM_PERIOD_S)
        x, y = 690 + 380 * np.sin(swing), 30 + 330 * np.cos(swing)
        self._pendulum.draw(planes, (x - pan) * unit, y * unit, turn=swing * 3)
        self._draw_ticker(planes, time_s)

    def _draw_clock(self, planes: Planes, time_s: float, pan: float) -> None:
        unit = self._unit
        centre = (250 - pan) * unit, 170 * unit
        hands = ((50, 7.0, 9.3, (0.1, 0.1, 0.12)), (68, 4.5, time_s / 6, (0.75, 0.08, 0.08)))
        for length, thickness, turns, colour in hands:
            angle = 2 * np.pi * turns
            tip = (
                centre[0] + length * unit * np.sin(angle),
                centre[1] - length * unit * np.cos(angle),
            )
            draw_stroke(planes, centre, tip, thickness=thickness * unit, colour=colour)

    def _draw_ticker(self, planes: Planes, time_s: float) -> None:
        left = -(TICKER_UNITS_S * time_s % self._ticker_loop)
        top = planes[0].shape[0] - self._ticker.height
        self._ticker.draw(planes, left_quarters=self._quarters(left), top=top)

    def _quarters(self, units: float) -> int:
        return round(units * self._unit * QUARTERS)


def _paint_table(width: float, unit: float) -> Canvas:
    canvas = Canvas(width, UNITS, unit=unit)
    canvas.fill(0, 0, width, 500, lambda r, c: plaster(r, c, (0.66, 0.70, 0.66), seed=81))
    teal = (0.16, 0.40, 0.46)
    canvas.fill(0, 0, 118, 500, lambda r, c: cloth(r, c, teal, thread=1.9 * unit, seed=82))
    canvas.shadow(118, 0, 10, 500, softness=24, depth=0.45)
    canvas.fill(1210, 0, 400, 500, lambda r, c: cloth(r, c, teal, thread=1.9 * unit, seed=83))
    canvas.shadow(1200, 0, 10, 500, softness=24, depth=0.45)
    canvas.fill(0, 470, width, 250, lambda r, c: wood(r, c, plank=62 * unit, seed=84))
    canvas.shadow(0, 460, width, 12, softness=16, depth=0.45)
    _paint_clock(canvas, 250, 170)
    _paint_chart(canvas, 420, 66)
    _paint_newspaper(canvas, 740, 60)
    canvas.fill(1046, 250, 8, 250, (0.86, 0.84, 0.80))
    for number, tone in enumerate(SKIN_TONES):
        _paint_sphere(canvas, 250 + 178 * number, 520 + 22 * (number % 2), 84 - 8 * number, tone)
    _paint_vase(canvas, 850, 372)
    for number, fruit in enumerate(((0.86, 0.16, 0.12), (0.95, 0.60, 0.12), (0.50, 0.68, 0.16))):
        _paint_sphere(canvas, 1120 + 84 * number, 566 - 10 * number, 44, fruit)
    return canvas


def _paint_clock(canvas: Canvas, x: float, y: float) -> None:
    canvas.shadow(x - 70, y - 60, 150, 150, softness=40, depth=0.45)
    canvas.disc(x, y, 98, lambda a, d: tinted((0.36, 0.22, 0.13), 1 - 0.25 * (a + d)))
    canvas.disc(x, y, 88, lambda a, d: tinted((0.97, 0.96, 0.92), 1 - 0.05 * d))
    for minute in range(60):
        angle = 2 * np.pi * minute / 60
        radius = 2.6 if minute % 5 == 0 else 1.3
        dot_x, dot_y = x + 80 * np.sin(angle), y - 80 * np.cos(angle)
        canvas.disc(dot_x, dot_y, radius, lambda a, d: tinted((0.12, 0.12, 0.14), 1 + 0 * a * d))
    for hour in range(1, 13):
        angle = 2 * np.pi * hour / 12
        text = str(hour)
        left = x + 62 * np.sin(angle) - 5 * len(text)
        canvas.text(left, y - 62 * np.cos(angle) - 7, 13, text, (0.12, 0.12, 0.14))


def _paint_chart(canvas: Canvas, left: float, top: float) -> None:
    canvas.shadow(left + 3, top + 4, 262, 220, softness=8, depth=0.45)
    canvas.fill(left, top, 262, 220, (0.10, 0.10, 0.11))
    patches: list[Colour3] = [
        (0.45, 0.32, 0.27), (0.76, 0.59, 0.51), (0.38, 0.48, 0.61), (0.35, 0.42, 0.26),
        (0.85, 0.48, 0.17), (0.29, 0.36, 0.65), (0.76, 0.33, 0.38), (0.36, 0.23, 0.42),
        (0.22, 0.24, 0.59), (0.28, 0.58, 0.28), (0.69, 0.20, 0.23), (0.92, 0.78, 0.13),
    ]  # fmt: skip
    for number, colour in enumerate(patches):
        canvas.fill(left + 10 + 62 * (number % 4), top + 10 + 44 * (number // 4), 56, 38, colour)
    for bar in range(28):  # a frequency wedge: bars get finer to the right
        width = 7.0 - 0.2 * bar
        start = left + 10 + sum(2 * (7.0 - 0.2 * earlier) for earlier in range(bar)) * 0.6
        if start + width < left + 252:
            canvas.fill(start, top + 146, width * 0.6, 32, (0.92, 0.92, 0.92))
    canvas.fill(left + 10, top + 186, 242, 24, _ramp)


def _ramp(rows: int, columns: int) -> Rgb:
    across = np.linspace(0.02, 0.98, columns, dtype=np.float32)
    return np.ascontiguousarray(np.broadcast_to(across[None, :, None], (rows, columns, 3)))


def _paint_newspaper(canvas: Canvas, left: float, top: float) -> None:
    canvas.shadow(left + 3, top + 5, 226, 290, softness=9, depth=0.45)
    paper = (0.93, 0.91, 0.85)
    canvas.fill(left, top, 226, 290, lambda r, c: plaster(r, c, paper, seed=91))
    ink = (0.13, 0.13, 0.14)
    canvas.text(left + 10, top + 11, 22, "Daily Frame", ink)
    canvas.fill(left + 10, top + 40, 206, 2, ink)
    canvas.text(left + 10, top + 48, 12, "Fewer bits, more TV", ink)
    rng = np.random.default_rng(92)
    words = "a the frame light window vector of pixel detail and from sharp leaf rain"
    for column in range(2):
        for row in range(19):
            line = " ".join(rng.choice(words.split(), 4))[:16]
            canvas.text(left + 12 + 104 * column, top + 74 + 11 * row, 7, line, ink)


def _paint_sphere(canvas: Canvas, x: float, y: float, radius: float, colour: Colour3) -> None:
    canvas.shadow(
        x - radius * 0.8, y + radius * 0.78, radius * 1.9, radius * 0.2, softness=26, depth=0.6
    )

    def surface(across: Field, down: Field) -> Rgb:
        depth = np.sqrt(np.clip(1 - across**2 - down**2, 0, 1))
        light = np.clip(-0.45 * across - 0.62 * down + 0.64 * depth, 0, 1)
        wrap = 0.30 + 0.78 * light + 0.10 * np.clip(down, 0, 1)  # the table shines back from below
        pores = noise(*across.shape, seed=int(x), roll_off=0.5)
        body = np.asarray(colour, np.float32) * (wrap * (1 + 0.018 * pores))[..., None]
        # Thin skin and fruit let red light through where they turn into shadow.
        body[..., 0] += 0.07 * np.clip(1 - np.abs(light - 0.25) * 4, 0, 1)
        return np.asarray(np.clip(body + 0.35 * (light**20)[..., None], 0, 1), np.float32)

    canvas.disc(x, y, radius, surface)


def _paint_vase(canvas: Canvas, x: float, top: float) -> None:
    unit = canvas.unit
    rows, columns = round(200 * unit), round(150 * unit)
    if rows < 2 or columns < 2:
        return
    canvas.shadow(x - 60, top + 178, 130, 16, softness=26, depth=0.6)
    down = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, columns, dtype=np.float32)[None, :]
    profile = 0.42 + 0.50 * np.sin(np.pi * np.clip(down * 1.15 - 0.12, 0, 1)) - 0.06 * (down < 0.05)
    turned = np.clip(across / profile, -1, 1)
    angle = np.arcsin(turned)
    zigzag = np.abs((angle * 6 / np.pi + 6) % 1 - 0.5) * 0.12
    band = (down * 5 + zigzag * 5) % 1
    is_blue = ((band < 0.45) & (down > 0.16) & (down < 0.9)).astype(np.float32)
    light = np.clip(0.35 + 0.75 * np.cos(angle + 0.7), 0.1, 1.1)
    glaze = np.array((0.94, 0.93, 0.89)) * (1 - is_blue[..., None])
    glaze = glaze + np.array((0.10, 0.22, 0.55)) * is_blue[..., None]
    shine = 0.5 * np.clip(np.cos(angle + 0.75), 0, 1) ** 40
    picture = np.clip(glaze * light[..., None] + shine[..., None], 0, 1).astype(np.float32)
    coverage = np.clip((profile - np.abs(across)) * columns / 2 + 0.5, 0, 1).astype(np.float32)
    canvas.paste(round((x - 75) * unit), round(top * unit), picture, coverage)


def _paint_ticker(view: float, unit: float) -> Layer:
    width = 6 / 7 * 22 * len(TICKER_TEXT)
    repeats = 1 + int(np.ceil(view / width))
    canvas = Canvas(width * repeats + 4, TICKER_HEIGHT, unit=unit)
    canvas.fill(0, 0, width * repeats + 4, TICKER_HEIGHT, (0.08, 0.10, 0.16))
    canvas.fill(0, 0, width * repeats + 4, 2, (0.85, 0.65, 0.20))
    for repeat in range(repeats):
        canvas.text(width * repeat, 11, 22, TICKER_TEXT, (0.95, 0.95, 0.90))
    return canvas.opaque_layer()
