"""AV1 against H.264 at the same rung: how many bits it takes for the same restored picture.

`python -m benchmarks.same_rung [RESULTS.json …] [--json FILE]`: BD-rates by rung and clip from the
points of the bandwidth benchmark's results (default: the committed ones), of what each codec's
small picture looks like after restoration by the default tier.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.bandwidth.curves import RatePoint, bd_rate
from benchmarks.ladder_steps import committed_results, points_of
from benchmarks.result_file import write_result
from decoder.model_choice import DEFAULT_TIER
from stream.errors import EdvrError

METRICS = ("vmaf_neg", "psnr_y_db")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """percent: more bits than H.264 (negative: fewer) at equal quality; None when their qualities
    have too little in common, and `reason` says so.
    """

    rung: str
    clip: str
    metric: str
    percent: float | None
    reason: str


def compare(points: Iterable[Mapping[str, Any]]) -> list[Row]:
    """A row for each rung, clip and metric. points: as in the results."""
    curves: dict[tuple[int, str, str, str], list[RatePoint]] = {}
    for point in points:
        if point["kind"] != "restored" or not str(point["model"]).startswith(DEFAULT_TIER):
            continue
        lines = int(str(point["rung"]).removesuffix("p"))
        for metric in METRICS:
            curves.setdefault((lines, point["clip"], metric, point["coding"]), []).append(
                RatePoint(bps=float(point["wire_bps"]), quality=float(point["quality"][metric]))
            )
    rows = []
    for lines, clip, metric in sorted({key[:3] for key in curves}):
        h264, av1 = (curves.get((lines, clip, metric, codec), []) for codec in ("h264", "av1"))
        found = bd_rate(h264, av1)
        rows.append(
            Row(
                rung=f"{lines}p",
                clip=clip,
                metric=metric,
                percent=None if found.percent is None else round(found.percent, 1),
                reason=found.reason,
            )
        )
    return rows


def means(rows: Sequence[Row]) -> list[tuple[str, str, float | None, int, int]]:
    """Rung, metric, mean over the clips that can be told, how many those are, and all."""
    found = []
    for rung, metric in dict.fromkeys((row.rung, row.metric) for row in rows):
        same = [row for row in rows if (row.rung, row.metric) == (rung, metric)]
        told = [row.percent for row in same if row.percent is not None]
        found.append((rung, metric, fmean(told) if told else None, len(told), len(same)))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="same_rung", description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="*", type=Path)
    parser.add_argument("--json", type=Path, help="also write the rows here")
    options = parser.parse_args(arguments)
    try:
        by_lines = points_of(options.results or committed_results())
    except EdvrError as error:
        print(f"same_rung: {error}", file=sys.stderr)
        return 2
    rows = [row for points in by_lines.values() for row in compare(points)]
    for row in rows:
        told = row.reason if row.percent is None else f"{row.percent:+.1f} %"
        print(f"{row.rung:>5} {row.metric:9} {row.clip}: {told}")
    for rung, metric, mean, count, clips in means(rows):
        told = "cannot be told" if mean is None else f"{mean:+.1f} %"
        print(f"{rung:>5} {metric:9} mean over {count} of {clips} clips: {told}")
    if options.json is not None:
        write_result(options.json, "same_rung", {"rows": [asdict(row) for row in rows]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
