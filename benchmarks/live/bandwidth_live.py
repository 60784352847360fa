"""`edvr-bench bandwidth --live`: the same clips, sizes and rates through real processes."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.bandwidth.clips import RENDERED_FPS
from benchmarks.bandwidth.config import BandwidthConfig
from benchmarks.live.summary import live_rows
from benchmarks.live.sweep import LiveSweep, load_figures, run_sweep
from decoder.training.clip_reader import find_clips
from stream.frame import Size


def sweep_of(config: BandwidthConfig) -> LiveSweep:
    """What to run live for a comparison from file to file. Raises ConfigError without clips."""
    height = config.output_size
    size = Size(width=round(height * 16 / 9 / 2) * 2, height=height)
    rendered = f"test:?size={size}&fps={RENDERED_FPS}"
    return LiveSweep(
        clips=tuple(str(path) for path in find_clips(config.clips)) or (rendered,),
        size=size,
        shares=config.rungs,
        bitrates=config.bitrates,
        direct_bitrates=config.direct_bitrates,
        models=config.models,
        codecs=config.codecs,
        seconds=max(1.0, config.seconds),
    )


def run_live(config: BandwidthConfig, console: Console) -> list[Path]:
    """Make the runs that the output folder does not hold yet, print what they say.

    Returns their files, for the report. Raises ConfigError when a process fails.
    """

    def tell(name: str, done: int, total: int) -> None:
        if name:
            console.print(f"live run {done + 1} of {total}: {name}", highlight=False)

    files = run_sweep(sweep_of(config), config.out / "live", tell)
    heading, *rows = live_rows(load_figures(files))
    table = Table(*heading)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    return files
