"""The sender's ladder, learned from what the bandwidth benchmark measured.

`python -m benchmarks.ladder_steps [RESULTS.json …]` rewrites `encoder/ladder_steps.json` from the
points of those results (default: the committed ones). For each codec and output it looks for the
rates at which the next larger picture becomes the better one *after restoration*: one ladder for
all clips, with the highest mean quality over clips and rates. From what `ladder_content` has
measured (committed, too) it learns how that ladder is to follow the pictures at hand.
"""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ladder_content import DIRECT, Losses, losses_of
from benchmarks.ladder_model import Curve, Curves, common_clips, model_of
from decoder.model_choice import DEFAULT_TIER
from encoder.content_limits import ContentModel
from stream.errors import ConfigError

RESULTS = Path(__file__).parent / "results"
TABLE = Path(__file__).parent.parent / "encoder" / "ladder_steps.json"
METRIC = "psnr_y_db"
SECOND_METRIC = "vmaf_neg"

RATES = 48
"""Rates compared, evenly spaced on a logarithmic axis."""

NOT_POSSIBLE = 100.0
"""Quality that is taken off where a rung cannot be coded at so low a rate, in any metric's unit."""

BELOW_LOWEST = 0.8
"""Down to this share of the lowest rate that was measured a size counts as possible."""

NOTE = "written by python -m benchmarks.ladder_steps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """One row of the table. regret: what one ladder for all clips costs against the best rung of
    each clip at each rate, in the metric's unit: mean, and worst over the rates of the mean over
    the clips.
    """

    codec: str
    hd_lines: int
    up_to_bps: tuple[int, ...]
    shares: tuple[Fraction, ...]
    clips: int
    mean_regret: float
    worst_mean_regret: float


def learn(
    points: Iterable[Mapping[str, Any]],
    *,
    codec: str,
    hd_lines: int,
    metric: str = METRIC,
) -> Learned | None:
    """The ladder for a codec and an output; None when there are not two sizes to choose from.

    points: as in the bandwidth benchmark's results.
    """
    curves = rung_curves(points, codec=codec, hd_lines=hd_lines, metric=metric)
    if len(curves) < 2:
        return None
    shares = sorted(curves)
    clips = sorted(set.intersection(*(set(by_clip) for by_clip in curves.values())))
    if not clips:
        return None
    rates = _rates(curves, clips)
    quality = np.array(
        [
            [[quality_at(curves[share][clip], bps) for bps in rates] for clip in clips]
            for share in shares
        ]
    )
    mean = quality.mean(axis=1)
    chosen = best_monotone(mean)
    picked = quality[chosen, :, np.arange(len(rates))]
    regret = quality.max(axis=0).T - picked
    used = sorted({*chosen, len(shares) - 1})
    limits = [
        _rounded(math.sqrt(rates[last] * rates[min(last + 1, len(rates) - 1)]))
        for rung in used[:-1]
        for last in [max(index for index, each in enumerate(chosen) if each <= rung)]
    ]
    return Learned(
        codec=codec,
        hd_lines=hd_lines,
        up_to_bps=tuple(limits),
        shares=tuple(shares[rung] for rung in used),
        clips=len(clips),
        mean_regret=round(float(regret.mean()), 3),
        worst_mean_regret=round(float(regret.mean(axis=1).max()), 3),
    )


def rung_curves(
    points: Iterable[Mapping[str, Any]], *, codec: str, hd_lines: int, metric: str
) -> Curves:
    """What a receiver shows of each size that may travel, restored by the default tier."""
    found: dict[Fraction, dict[str, Curve]] = defaultdict(lambda: defaultdict(list))
    for point in points:
        lines = int(str(point["rung"]).removesuffix("p"))
        is_direct = point["kind"] == "direct" and point["coding"] == DIRECT.get(codec)
        is_restored = (
            point["kind"] == "restored"
            and point["coding"] == codec
            and str(point["model"]).startswith(DEFAULT_TIER)
        )
        if is_direct or is_restored:
            entry = (float(point["wire_bps"]), float(point["quality"][metric]))
            found[Fraction(lines, hd_lines)][str(point["clip"])].append(entry)
    return {
        share: {clip: sorted(curve) for clip, curve in by_clip.items()}
        for share, by_clip in found.items()
    }


def best_monotone(mean: NDArray[np.float64]) -> list[int]:
    """For each rate (columns) a rung (rows), never a smaller one than before, best in the sum."""
    rungs, rates = mean.shape
    total = np.full((rungs, rates), -np.inf)
    before = np.zeros((rungs, rates), dtype=int)
    total[:, 0] = mean[:, 0]
    for rate in range(1, rates):
        for rung in range(rungs):
            source = int(np.argmax(total[: rung + 1, rate - 1]))
            before[rung, rate] = source
            total[rung, rate] = total[source, rate - 1] + mean[rung, rate]
    chosen = [int(np.argmax(total[:, -1]))]
    for rate in range(rates - 1, 0, -1):
        chosen.append(int(before[chosen[-1], rate]))
    return chosen[::-1]


def learn_content(
    points: Sequence[Mapping[str, Any]], losses: Losses, *, codec: str, hd_lines: int
) -> ContentModel | None:
    """How a codec's ladder follows the pictures; None when no clip is in both measurements."""
    curves = rung_curves(points, codec=codec, hd_lines=hd_lines, metric=METRIC)
    return model_of(curves, losses, codec=codec, clips=common_clips(curves, losses))


def table_text(
    rows: Sequence[Mapping[str, Any]],
    learned: Sequence[Learned],
    contents: Mapping[tuple[str, int], tuple[Sequence[Fraction], ContentModel]] | None = None,
) -> str:
    """The table: what was learned in place of the rows for the same codec and output.

    contents: by codec and lines of the output, shares of the sides and what is known by share.
    """
    by_key = {(str(row["codec"]), int(row["hd_lines"])): dict(row) for row in rows}
    for each in learned:
        by_key[each.codec, each.hd_lines] = {
            "codec": each.codec,
            "hd_lines": each.hd_lines,
            "up_to_bps": list(each.up_to_bps),
            "shares": [str(share) for share in each.shares],
            "from": f"measured on {each.clips} clips; {METRIC} below the best rung of each clip: "
            f"{each.mean_regret:.2f} in the mean, {each.worst_mean_regret:.2f} at the worst rate",
        }
    for key, (shares, model) in (contents or {}).items():
        if key in by_key:
            by_key[key]["content"] = {
                "shares": [str(share) for share in shares],
                "kept": list(model.kept),
                "growth": list(model.growth),
            }
    table = {"note": NOTE, "steps": [by_key[key] for key in sorted(by_key)]}
    return json.dumps(table, indent=2) + "\n"


def learn_all(results: Iterable[Path]) -> list[Learned]:
    """Every ladder that these results hold. Raises ConfigError for a file that is no result."""
    found = [
        learn(each, codec=codec, hd_lines=lines)
        for lines, each in points_of(results).items()
        for codec in DIRECT
    ]
    return [each for each in found if each is not None]


def learn_contents(
    results: Iterable[Path], losses: Losses
) -> dict[tuple[str, int], tuple[Sequence[Fraction], ContentModel]]:
    """How every ladder of these results follows the pictures, as far as it was measured."""
    found: dict[tuple[str, int], tuple[Sequence[Fraction], ContentModel]] = {}
    for lines, points in points_of(results).items():
        for codec in DIRECT:
            model = learn_content(points, losses, codec=codec, hd_lines=lines)
            if model is not None:
                found[codec, lines] = (losses.shares, model)
    return found


def points_of(results: Iterable[Path]) -> dict[int, list[Mapping[str, Any]]]:
    """By lines of the output. Raises ConfigError for a file that is no result."""
    points: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for path in results:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            figures = content.get("figures", content)
            lines = int(str(figures["settings"]["output_size"]).removesuffix("p"))
            points[lines] += figures["points"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{path} holds no results of the bandwidth benchmark") from error
    return points


def committed_results() -> list[Path]:
    """The results of filmed clips that come with the project: generated ones would mislead."""
    return sorted(RESULTS.glob("bandwidth-eval*.json"))


def _rates(curves: Curves, clips: Sequence[str]) -> list[float]:
    """From the lowest rate at which every clip can be coded in one size to the highest of all."""
    lowest = min(max(by_clip[clip][0][0] for clip in clips) for by_clip in curves.values())
    highest = max(by_clip[clip][-1][0] for by_clip in curves.values() for clip in clips)
    return [float(rate) for rate in np.geomspace(lowest, highest, RATES)]


def quality_at(curve: Curve, bps: float) -> float:
    """Interpolated over the logarithm of the rate; above the highest rate it stays as it is.

    A little below the lowest one it goes on as between the two lowest: encoders asked for the same
    rate do not give exactly the same.
    """
    rates = [math.log(rate) for rate, _ in curve]
    values = [value for _, value in curve]
    if bps >= curve[0][0] or len(curve) < 2:
        return float(np.interp(math.log(bps), rates, values))
    if bps < BELOW_LOWEST * curve[0][0]:
        return values[0] - NOT_POSSIBLE
    slope = (values[1] - values[0]) / (rates[1] - rates[0])
    return values[0] + slope * (math.log(bps) - rates[0])


def _rounded(bps: float) -> int:
    """To two digits: more are not in the data."""
    digits = int(10 ** max(0, math.floor(math.log10(bps)) - 1))
    return round(bps / digits) * digits


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    named = [Path(each) for each in (sys.argv[1:] if arguments is None else arguments)]
    try:
        learned = learn_all(named or committed_results())
        contents = learn_contents(named or committed_results(), losses_of())
    except ConfigError as error:
        print(f"ladder_steps: {error}", file=sys.stderr)
        return 2
    rows = json.loads(TABLE.read_text(encoding="utf-8"))["steps"]
    TABLE.write_text(table_text(rows, learned, contents), encoding="utf-8")
    for each in learned:
        print(
            f"{each.codec} {each.hd_lines}p: {', '.join(map(str, each.shares))} up to "
            f"{', '.join(f'{bps // 1000}k' for bps in each.up_to_bps)}; {METRIC} below the best of "
            f"each clip: mean {each.mean_regret:.2f}, worst rate {each.worst_mean_regret:.2f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
