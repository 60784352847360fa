"""The picture of what adapting gains: `python -m benchmarks.adaptation_plot OUT.svg RESULTS.json…`.

RESULTS are of `benchmarks.adaptation`; of a programme that was measured several times the first row
counts. Pure but for reading and writing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.svg_shapes import document, line, rect, text

WIDTH, LEFT, RIGHT, TOP, BAR = 760, 190, 90, 56, 18
PAYS, NOT = "#2b6cb0", "#a0aec0"
TITLES = {
    "blocks": ("a place with fine, regular detail", "that stays: a studio, a venue, a hall"),
    "two-cameras": ("two cameras in turn", "that stay"),
    "animation": ("an animated film", "other scenes of it"),
    "face": ("one smooth face", "little that was lost can be learned"),
    "music-video": ("a montage", "ever-changing: nothing comes back"),
}


def gains_of(results: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """By programme: the gain in dB by codec, kilobytes, and whether the gate refused it.

    Any: values from JSON.
    """
    found: dict[str, dict[str, Any]] = {}
    for result in results:
        for row in result["figures"]["rows"]:
            codecs = dict.fromkeys(rung["codec"] for rung in row["test"])
            gains = {
                codec: fmean(
                    rung["adapted_psnr_y_db"] - rung["base_psnr_y_db"]
                    for rung in row["test"]
                    if rung["codec"] == codec
                )
                for codec in codecs
            }
            kept = {"gains": gains, "kB": row["coded_bytes"] / 1000, "refused": row["refused"]}
            found.setdefault(row["case"], kept)
    return dict(sorted(found.items(), key=lambda each: -fmean(each[1]["gains"].values())))


def plot(gains: Mapping[str, Mapping[str, Any]]) -> str:
    """An SVG document of `gains_of`: bars by programme and codec, those that pay first."""
    most = max(0.5, *(gain for each in gains.values() for gain in each["gains"].values()))
    shapes = [text(20, 26, "PSNR-Y that a profile gains over the model as it is, on later footage")]
    y = float(TOP)
    for name, each in gains.items():
        first, second = TITLES.get(name, (name, ""))
        shapes += [text(20, y + 14, first, colour="#1a202c"), text(20, y + 30, second)]
        colour = NOT if each["refused"] else PAYS
        for codec, gain in each["gains"].items():
            width = (WIDTH - LEFT - RIGHT - 40) * max(gain, 0) / most
            shapes.append(rect(LEFT + 70, y, max(width, 1.5), BAR, colour))
            shapes.append(text(LEFT + 62, y + 13, codec, anchor="end"))
            shapes.append(text(LEFT + 76 + width, y + 13, f"{gain:+.2f} dB"))
            y += BAR + 4
        verdict = "refused: no profile is written" if each["refused"] else "pays"
        shapes.append(text(LEFT + 70, y + 12, f"{verdict} ({each['kB']:.0f} kB)", colour=colour))
        y += 34
    shapes.append(line([(LEFT + 70, TOP - 6), (LEFT + 70, y - 16)], "#4a5568"))
    return document(WIDTH, y, shapes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw. Returns the exit status."""
    out, *results = sys.argv[1:] if arguments is None else arguments
    read = [json.loads(Path(each).read_text(encoding="utf-8")) for each in results]
    Path(out).write_text(plot(gains_of(read)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
