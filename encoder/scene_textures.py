"""Surfaces of the test scene, made of seeded noise: brick, plaster, wood, cloth, leaves. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from encoder.scene_layer import Alpha, Rgb

Field = NDArray[np.float32]
"""(H, W), one value a sample."""

Colour3 = tuple[float, float, float]


def noise(height: int, width: int, *, seed: int, roll_off: float, stretch: float = 1.0) -> Field:
    """Noise whose spectrum falls with frequency to the power of -roll_off; mean 0, deviation 1.

    Natural pictures have about 1.0 (Field, 1987). stretch > 1 draws it out horizontally.
    """
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.standard_normal((height, width)))
    vertical = np.fft.fftfreq(height)[:, None]
    horizontal = np.fft.rfftfreq(width)[None, :] * stretch
    frequency = np.hypot(vertical, horizontal)
    frequency[0, 0] = 1.0
    spectrum *= frequency**-roll_off
    spectrum[0, 0] = 0.0
    field = np.fft.irfft2(spectrum, s=(height, width))
    return np.asarray(field / max(float(field.std()), 1e-9), np.float32)


def tinted(colour: Colour3, shade: Field) -> Rgb:
    """A colour times a shade (1.0 leaves it), clipped to 0..1."""
    return np.clip(shade[..., None] * np.asarray(colour, np.float32), 0, 1)


def mix(below: Rgb, above: Rgb | Colour3, coverage: Field) -> Rgb:
    """`above` over `below` where coverage (0..1) says so."""
    weight = coverage[..., None]
    return np.asarray(below * (1 - weight) + np.asarray(above, np.float32) * weight, np.float32)


def bricks(height: int, width: int, *, course: float, seed: int) -> Rgb:
    """A brick wall in stretcher bond, `course` samples a course, each brick with its own colour."""
    rng = np.random.default_rng(seed)
    row_position = np.arange(height, dtype=np.float32)[:, None] / course
    row = np.floor(row_position).astype(int)
    column_position = np.arange(width, dtype=np.float32)[None, :] / (2.4 * course) + 0.5 * (row % 2)
    column = np.floor(column_position).astype(int)
    tone = rng.uniform(0.82, 1.12, (row.max() + 1, column.max() + 1)).astype(np.float32)
    redness = rng.uniform(-0.05, 0.05, tone.shape).astype(np.float32)
    grain = noise(height, width, seed=seed + 1, roll_off=0.35)
    stains = noise(height, width, seed=seed + 2, roll_off=1.4)
    shade = tone[row, column] * (1 + 0.05 * grain + 0.06 * stains)
    wall = tinted((0.60, 0.33, 0.25), shade)
    wall[..., 0] += redness[row, column]
    # Distance to the joint in samples, roughened so that edges are not ruler-straight.
    down = (row_position - row) * course
    across = (column_position - column) * 2.4 * course
    edge = np.minimum(np.minimum(down, course - down), np.minimum(across, 2.4 * course - across))
    joint = np.clip(0.06 * course + 0.5 + 0.2 * grain - edge, 0, 1)
    mortar = tinted((0.66, 0.62, 0.56), 1 + 0.04 * grain)
    # Light falls from above: upper edges of bricks are lit, lower ones lie in shadow.
    relief = np.clip(1 - down / (0.2 * course), 0, 1) - np.clip(
        1 - (course - down) / (0.25 * course), 0, 1
    )
    return np.clip(mix(wall * (1 + 0.14 * relief[..., None]), mortar, joint), 0, 1)


def plaster(height: int, width: int, colour: Colour3, *, seed: int) -> Rgb:
    """Rough plaster with weather stains."""
    grain = noise(height, width, seed=seed, roll_off=0.3)
    stains = noise(height, width, seed=seed + 1, roll_off=1.5)
    bumps = grain - np.roll(grain, 1, axis=0)
    return tinted(colour, 1 + 0.02 * grain + 0.05 * stains + 0.02 * bumps)


def paving(height: int, width: int, *, slab: float, seed: int) -> Rgb:
    """Stone slabs seen at a low angle: joints get closer towards the top."""
    depth = np.linspace(0.45, 1, height, dtype=np.float32)[:, None]
    row_position = np.log(depth) * 6
    row = np.floor(row_position).astype(int)
    column_position = np.arange(width, dtype=np.float32)[None, :] / slab + 0.37 * row
    column = np.floor(column_position).astype(int)
    rng = np.random.default_rng(seed)
    tone = rng.uniform(0.85, 1.1, (64, 512)).astype(np.float32)[row % 64, column % 512]
    grain = noise(height, width, seed=seed + 1, roll_off=0.4, stretch=0.7)
    joint = np.minimum(row_position - row, 0.3 * (column_position - column) * slab / 8)
    dark = np.clip(1 - joint * 12, 0, 1)
    return tinted((0.58, 0.56, 0.53), tone * (1 + 0.05 * grain) * (1 - 0.45 * dark))


def wood(height: int, width: int, *, plank: float, seed: int) -> Rgb:
    """Planks with fine grain along them."""
    rows = np.arange(height, dtype=np.float32)[:, None]
    board = np.floor(rows / plank).astype(int)
    fine = noise(height, width, seed=seed, roll_off=0.6, stretch=14)
    broad = noise(height, width, seed=seed + 1, roll_off=1.3, stretch=6)
    rings = np.sin(9 * broad + rows / plank * 7)
    tone = np.random.default_rng(seed).uniform(0.85, 1.12, board.max() + 1).astype(np.float32)
    gap = np.clip(1.6 - (rows - board * plank), 0, 1)
    shade = tone[board] * (1 + 0.06 * fine + 0.08 * rings) * (1 - 0.6 * gap)
    return tinted((0.50, 0.33, 0.20), shade)


def cloth(height: int, width: int, colour: Colour3, *, thread: float, seed: int) -> Rgb:
    """A hanging curtain: woven threads, a tartan check and soft folds."""
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None, :]
    sway = 26 * thread * np.sin(rows / (70 * thread)) * 0.12
    fold_at = (columns + sway) / (17 * thread)
    folds = np.sin(fold_at) + 0.45 * np.sin(2.3 * fold_at + 1)
    warp = columns + 2.5 * thread * np.cos(fold_at)
    weave = np.sin(np.pi * rows / thread) * np.sin(np.pi * warp / thread)
    grain = noise(height, width, seed=seed, roll_off=0.3)
    shade = (0.72 + 0.22 * folds) * (1 + 0.12 * weave + 0.03 * grain)
    check = 0.5 * (np.sin(warp / (9 * thread)) > 0.72) + 0.5 * (np.sin(rows / (9 * thread)) > 0.72)
    fabric = tinted(colour, np.asarray(shade, np.float32))
    stripe = tinted((0.86, 0.74, 0.45), np.asarray(shade, np.float32))
    return mix(fabric, stripe, np.asarray(0.55 * check, np.float32))


def leaf_stamps(length: float, *, count: int) -> list[tuple[Alpha, Field]]:
    """(coverage, shade) of one leaf at `count` angles: one half lit, one in shade, a midrib."""
    side = int(np.ceil(length)) + 2
    axis = np.arange(side, dtype=np.float32) - (side - 1) / 2
    stamps = []
    for turn in range(count):
        angle = 2 * np.pi * turn / count
        along = (axis[None, :] * np.cos(angle) + axis[:, None] * np.sin(angle)) * 2 / length
        across = (axis[:, None] * np.cos(angle) - axis[None, :] * np.sin(angle)) * 2 / length
        half_width = 0.42 * (1 - along**2) * (1 - 0.3 * along)
        coverage = np.clip((half_width - np.abs(across)) * length / 2 + 0.5, 0, 1)
        coverage *= np.abs(along) <= 1
        lit = 1 + 0.28 * np.tanh(6 * across * np.cos(angle) - 2 * axis[:, None] / length)
        rib = 0.25 * np.clip(1 - np.abs(across) * length / 2, 0, 1)
        stamps.append((coverage.astype(np.float32), (lit + rib).astype(np.float32)))
    return stamps


def scatter_leaves(
    rgb: Rgb,
    alpha: Alpha,
    places: NDArray[np.int64],
    *,
    length: float,
    colours: list[Colour3],
    seed: int,
) -> None:
    """Paint a leaf at each (row, column) of `places`, in order, in place; alpha gets covered."""
    rng = np.random.default_rng(seed)
    small, large = leaf_stamps(0.7 * length, count=16), leaf_stamps(length, count=16)
    palette = np.asarray(colours, np.float32)
    for row, column in places:
        coverage, shade = (small, large)[rng.integers(2)][rng.integers(16)]
        colour = palette[rng.integers(len(palette))] * rng.uniform(0.8, 1.15)
        side = len(coverage)
        upper, left = max(0, row - side // 2), max(0, column - side // 2)
        lower, right = max(0, row - side // 2 + side), max(0, column - side // 2 + side)
        area = rgb[upper:lower, left:right]
        if not area.size:
            continue
        from_row, from_column = upper - row + side // 2, left - column + side // 2
        cut = (
            slice(from_row, from_row + area.shape[0]),
            slice(from_column, from_column + area.shape[1]),
        )
        weight = coverage[cut][..., None]
        area += weight * (np.clip(shade[cut][..., None] * colour, 0, 1) - area)
        under = alpha[upper : upper + area.shape[0], left : left + area.shape[1]]
        np.maximum(under, coverage[cut], out=under)
