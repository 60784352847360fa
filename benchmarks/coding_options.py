"""Which options of the codecs' libraries pay, by what is seen after restoration.

`python -m benchmarks.coding_options CLIP… --codec av1 --option tune=2 --option ac-bias=1 --out DIR`

For each clip and picture size: what the sender makes of it at live settings, and with each option
in turn (several at once: `tune=2,sharpness=1`), restored by the model that a receiver takes there
and judged at full size. BD-rates against live settings, negative where bits are saved. In the same
DIR it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import get_args

from benchmarks.bandwidth.clips import BenchClip, prepare_clips
from benchmarks.bandwidth.codings import Coding, small_coding
from benchmarks.bandwidth.crops import place_in
from benchmarks.bandwidth.curves import RatePoint, bd_rate
from benchmarks.bandwidth.models import chosen_models, models_for
from benchmarks.bandwidth.points import PointMaker, Task
from benchmarks.bandwidth.store import Store
from benchmarks.result_file import write_result
from decoder.artefact import Artefact
from encoder.video_encoder import CodecName
from stream.config import parse_bitrate, parse_size
from stream.errors import EdvrError
from stream.frame import Size

HD_LINES = 720
SIZES = ("320x180", "640x360")
BITRATES = ("100k", "140k", "190k", "250k")
METRICS = ("psnr_y_db", "vmaf_neg")

Options = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """percent: more bits than at live settings (negative: fewer) for equal quality after
    restoration; None where it cannot be told, and `reason` says why.
    """

    options: str
    clip: str
    size: str
    metric: str
    percent: float | None
    reason: str


def measure(
    maker: PointMaker,
    clip: BenchClip,
    *,
    coding: Coding,
    box: Size,
    variants: Sequence[Options],
    bitrates: Sequence[int],
    models: Sequence[Artefact],
) -> Iterator[Row]:
    """A row for each variant and metric. box: what the picture that travels fits in.

    Raises what coding, restoring and judging raise.
    """
    size, place = clip.size.fit_inside(box), place_in(clip)
    (model,) = models_for(list(models), lr_size=size, hr_size=clip.size)

    def curves(options: Options) -> dict[str, list[RatePoint]]:
        tasks = [
            Task(
                clip=clip,
                place=place,
                coding=coding.with_options(options) if options else coding,
                size=size,
                target_bps=bitrate_bps,
                models=(model,),
            )
            for bitrate_bps in bitrates
        ]
        points = [point for task in tasks for point in maker.make(task)]
        return {
            metric: [RatePoint(bps=p.wire_bps, quality=p.quality[metric]) for p in points]
            for metric in METRICS
        }

    usual = curves(())
    for options in variants:
        tried = curves(options)
        for metric in METRICS:
            found = bd_rate(usual[metric], tried[metric])
            yield Row(
                options=",".join(options),
                clip=clip.name,
                size=str(size),
                metric=metric,
                percent=None if found.percent is None else round(found.percent, 2),
                reason=found.reason,
            )


def means(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each variant: mean over clips and sizes, and how many could be told."""
    for options, metric in dict.fromkeys((row.options, row.metric) for row in rows):
        same = [row for row in rows if (row.options, row.metric) == (options, metric)]
        told = [row.percent for row in same if row.percent is not None]
        mean = f"{fmean(told):+.1f} % (worst {max(told):+.1f} %)" if told else "cannot be told"
        yield f"{options} {metric}: {mean}, {len(told)} of {len(same)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="coding_options", description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--codec", choices=get_args(CodecName), default="av1")
    parser.add_argument("--option", action="append", required=True, help="NAME=VALUE[,NAME=VALUE]")
    parser.add_argument("--size", action="append", help=f"default: {' and '.join(SIZES)}")
    parser.add_argument("--bitrate", action="append", help=f"default: {' '.join(BITRATES)}")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--out", type=Path, required=True, help="folder for what was measured")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    try:
        boxes = [parse_size(text) for text in options.size or SIZES]
        bitrates = [parse_bitrate(text) for text in options.bitrate or BITRATES]
        models = chosen_models((), backend="auto")
        clips = prepare_clips(
            tuple(options.clips),
            options.out / "clips",
            short_side=HD_LINES,
            seconds=options.seconds,
        )
        maker = PointMaker(Store(options.out / "store"), backend="auto", threads=0)
        for clip in clips:
            for box in boxes:
                for row in measure(
                    maker,
                    clip,
                    coding=small_coding(options.codec),
                    box=box,
                    variants=[tuple(text.split(",")) for text in options.option],
                    bitrates=bitrates,
                    models=models,
                ):
                    rows.append(row)
                    print(*asdict(row).values(), flush=True)
        maker.close()
        if options.json is not None:
            figures = {"codec": options.codec, "rows": [asdict(row) for row in rows]}
            write_result(options.json, "coding_options", figures)
    except EdvrError as error:
        print(f"coding_options: {error}", file=sys.stderr)
        return 2
    print(*means(rows), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
