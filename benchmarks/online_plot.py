"""The picture of a run of `benchmarks.online_adaptation`: gain over time, as SVG. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.svg_shapes import document, line, rect, text

WIDTH, LEFT, RIGHT, TOP, HEIGHT = 960, 60, 20, 40, 320
COLOURS = ("#2b6cb0", "#38a169", "#d69e2e", "#c53030", "#805ad5", "#319795", "#718096", "#dd6b20")
_STEPS_DB = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


def plot(rows: Sequence[Mapping[str, Any]]) -> str:
    """An SVG document of the rows of a result; a dot is a stretch. Any: values from JSON."""
    gains = [stretch["gain_db"] for row in rows for stretch in row["stretches"]]
    low, high = min(0.0, *gains), max(0.1, *gains)
    step = next((each for each in _STEPS_DB if (high - low) / each <= 10), _STEPS_DB[-1])
    low, high = step * math.floor(low / step), step * math.ceil(high / step)
    seconds = max(row["seconds"] for row in rows) + 1

    def place(at_s: float, gain_db: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * at_s / seconds
        return across, TOP + HEIGHT * (high - gain_db) / (high - low)

    title = "PSNR-Y gained by weights that are learned on the way, at the same total of bits"
    shapes = [text(LEFT, 20, title)]
    for index in range(round((high - low) / step) + 1):
        gain_db = low + index * step
        is_zero = abs(gain_db) < step / 2
        ends = [place(0, gain_db), place(seconds, gain_db)]
        shapes.append(line(ends, "#4a5568" if is_zero else "#e2e8f0"))
        shapes.append(text(LEFT - 8, ends[0][1] + 4, f"{gain_db:+.2g} dB", anchor="end"))
    every = next(each for each in (5, 10, 20, 60, 300, 10**6) if seconds / each <= 16)
    for at_s in range(0, int(seconds) + 1, every):
        across = place(at_s, low)[0]
        shapes.append(text(across, TOP + HEIGHT + 18, f"{at_s} s", anchor="middle"))
    for index, row in enumerate(rows):
        colour = COLOURS[index % len(COLOURS)]
        ends_s = [*(stretch["from_s"] for stretch in row["stretches"][1:]), row["seconds"]]
        points = [
            place((stretch["from_s"] + end_s) / 2, stretch["gain_db"])
            for stretch, end_s in zip(row["stretches"], ends_s, strict=True)
        ]
        shapes.append(line(points, colour, width=2))
        shapes += [rect(x - 3, y - 3, 6, 6, colour) for x, y in points]
        for delta in row["deltas"]:
            x, y = place(delta["at_s"], low)
            shapes.append(
                line([(x, y - 4 - 6 * (index % 4)), (x, y - 9 - 6 * (index % 4))], colour)
            )
        foot = TOP + HEIGHT + 44 + 18 * (index // 3)
        across = LEFT + (index % 3) * (WIDTH - LEFT) / 3
        label = (
            f"{row['case']}, {row['codec']} {row['total_bps'] / 1000:g}k: {row['gain_db']:+.2f} dB"
        )
        shapes += [rect(across, foot - 10, 12, 12, colour), text(across + 18, foot, label)]
    return document(WIDTH, TOP + HEIGHT + 44 + 18 * math.ceil(len(rows) / 3), shapes)
