"""How much better another picture size would have been than the one the ladder chooses.

`python -m benchmarks.ladder_regret [--json FILE]` takes the qualities after restoration from the
committed results of the bandwidth benchmark and the losses from `ladder_content`, and lets the
sender's ladder choose for each clip and rate: by the limits for all clips, and by those that follow
the pictures, learned from all clips and from all but the one that is judged. Rates go up to the
highest at which every size was measured; a clip that needs less in a small size stays as it is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.ladder_content import DIRECT, Losses, losses_of
from benchmarks.ladder_model import Curves, common_clips, model_of
from benchmarks.ladder_steps import (
    METRIC,
    SECOND_METRIC,
    committed_results,
    points_of,
    quality_at,
    rung_curves,
)
from benchmarks.result_file import write_result
from encoder.content_limits import Content, ContentModel, coded_effort
from encoder.ladder import Ladder
from encoder.rung_switch import RungSwitch
from stream.errors import EdvrError
from stream.frame import Size

Way = Literal["for all clips", "follows", "follows, clip left out"]
RATES = 40
NEAR_DB, NEAR_NEG = 0.3, 1.0
"""Not to be told apart: either is enough."""

_TURN_MS = 60_000.0  # longer than anything a switch waits for
_TURNS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Regret:
    """Below the best size, over clips and rates. near_percent: of them, within NEAR_DB or NEAR_NEG.

    worst_rate_db: mean over the clips at the worst rate.
    """

    codec: str
    way: Way
    clips: int
    near_percent: float
    mean_db: float
    worst_rate_db: float
    worst_db: float
    mean_neg: float
    worst_neg: float


def choose(
    ladder: Ladder, losses: Losses, model: ContentModel | None, *, codec: str, clip: str, bps: float
) -> int:
    """The rung on which the sender comes to rest at a constant rate.

    model: how errors depend on each other; None for limits that do not follow the pictures.
    """
    switch = RungSwitch(ladder, bps)
    shrunk = tuple(losses.shrunk[clip][share] for share in losses.shares)
    for turn in range(_TURNS):
        if model is not None:
            mse = losses.coded_mse(codec, clip, losses.shares[switch.rung], bps)
            content = Content(shrunk=shrunk, rung=switch.rung, coded=coded_effort(mse, bps))
            switch.follow(ladder.fitted(content, model=model))
        for step in range(2):  # the second is when it has waited for long enough
            switch.update(bps, is_cut=False, now_ms=(2 * turn + step) * _TURN_MS)
    return switch.rung


def regrets(curves: dict[str, Curves], losses: Losses, *, codec: str, lines: int) -> list[Regret]:
    """curves: by metric, METRIC and SECOND_METRIC."""
    clips, by_share = common_clips(curves[METRIC], losses), curves[METRIC]
    lowest = min(max(by_clip[clip][0][0] for clip in clips) for by_clip in by_share.values())
    highest = min(max(by_clip[clip][-1][0] for clip in clips) for by_clip in by_share.values())
    rates = [float(rate) for rate in np.geomspace(lowest, highest, RATES)]
    quality = {
        metric: np.array(
            [
                [[quality_at(each[share][clip], bps) for bps in rates] for clip in clips]
                for share in losses.shares
            ]
        )
        for metric, each in curves.items()
    }
    ladder = Ladder(Size(width=lines * 16 // 9, height=lines), codec=codec)
    models: dict[Way, list[ContentModel | None]] = {
        "for all clips": [None for _ in clips],
        "follows": [model_of(by_share, losses, codec=codec, clips=clips) for _ in clips],
        "follows, clip left out": [
            model_of(by_share, losses, codec=codec, clips=[each for each in clips if each != clip])
            for clip in clips
        ],
    }
    return [
        _regret(
            quality,
            [
                [choose(ladder, losses, model, codec=codec, clip=clip, bps=bps) for bps in rates]
                for clip, model in zip(clips, by_clip, strict=True)
            ],
            codec=codec,
            way=way,
        )
        for way, by_clip in models.items()
    ]


def _regret(
    quality: dict[str, NDArray[np.float64]], chosen: list[list[int]], *, codec: str, way: Way
) -> Regret:
    """quality: by metric (rungs, clips, rates). chosen: by clip and rate."""
    below = {
        metric: each.max(axis=0) - np.take_along_axis(each, np.array(chosen)[None], axis=0)[0]
        for metric, each in quality.items()
    }
    db, neg = below[METRIC], below[SECOND_METRIC]
    return Regret(
        codec=codec,
        way=way,
        clips=len(chosen),
        near_percent=round(100 * float(np.mean((db <= NEAR_DB) | (neg <= NEAR_NEG))), 1),
        mean_db=round(float(db.mean()), 3),
        worst_rate_db=round(float(db.mean(axis=0).max()), 2),
        worst_db=round(float(db.max()), 2),
        mean_neg=round(float(neg.mean()), 2),
        worst_neg=round(float(neg.max()), 2),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="ladder_regret", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the rows here")
    options = parser.parse_args(arguments)
    try:
        losses = losses_of()
        rows = [
            row
            for lines, points in points_of(committed_results()).items()
            for codec in DIRECT
            for row in regrets(
                {
                    metric: rung_curves(points, codec=codec, hd_lines=lines, metric=metric)
                    for metric in (METRIC, SECOND_METRIC)
                },
                losses,
                codec=codec,
                lines=lines,
            )
        ]
    except EdvrError as error:
        print(f"ladder_regret: {error}", file=sys.stderr)
        return 2
    for row in rows:
        print(
            f"{row.codec}, {row.way}: {row.near_percent:.0f} % within {NEAR_DB} dB or {NEAR_NEG:g} "
            f"VMAF-NEG of the best size; below it {row.mean_db:.2f} dB in the mean, "
            f"{row.worst_rate_db:.2f} at the worst rate, {row.worst_db:.2f} at worst; "
            f"VMAF-NEG {row.mean_neg:.1f} in the mean, {row.worst_neg:.1f} at worst"
        )
    if options.json is not None:
        write_result(options.json, "ladder_regret", {"rows": [asdict(row) for row in rows]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
