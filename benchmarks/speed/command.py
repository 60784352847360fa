"""`edvr-bench speed`: settings, progress and table."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from stream.config import parse_size
from stream.errors import ConfigError
from stream.flag_types import StreamNames


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedConfig:
    """What to time."""

    models: Annotated[StreamNames, Parameter(name="--models")] = ()
    """Models to time [default: all that are installed]."""

    sizes: Annotated[StreamNames, Parameter(name="--size")] = ("1280x720",)
    """Sizes to restore to [default: 1280x720]."""

    frames: int = 100
    """Frames to time each with."""

    peers: bool = True
    """Time what others do beside: ffmpeg, single-frame networks, the paper's network in torch."""

    json: Path | None = None
    """Also write the rows, the machine and the versions to this file."""

    def __post_init__(self) -> None:
        if self.frames < 10:
            raise ConfigError(f"--frames must be at least 10, got {self.frames}")
        for size in self.sizes:
            if not parse_size(size).is_even:
                raise ConfigError(f"--size must have even sides, got {size}")


WIDEST = 160

LEGEND = (
    "of peak: share of the convolutions a second below; times Lanczos: how long it takes against"
    " Lanczos; faster than plain: than the whole window each frame in ONNX Runtime;"
    " faster than eager: than the paper's network in eager torch"
)


def run_speed(config: SpeedConfig) -> None:
    """Measure, print, write."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from benchmarks.result_file import write_result
    from benchmarks.speed.choice import choice_lines, compare_choices
    from benchmarks.speed.plan import plan, run_job
    from benchmarks.speed.table import COLUMNS, as_rows, as_tables, peak_gmacs

    logging.basicConfig(level=logging.WARNING, format="edvr-bench: %(message)s")
    told: set[str] = set()  # what is not installed is so for every model and size

    def is_news(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        is_new = text not in told
        told.add(text)
        return is_new

    logging.getLogger(run_job.__module__).addFilter(is_news)
    cores = len(os.sched_getaffinity(0))
    outputs = [parse_size(size) for size in config.sizes]
    jobs = plan(
        config.models,
        outputs=outputs,
        threads=sorted({1, cores}),
        frames=config.frames,
        with_peers=config.peers,
    )
    errors = Console(stderr=True)
    measured = []
    for job in track(jobs, description="measuring", console=errors, transient=True):
        timing = run_job(job)
        if timing is not None:
            measured.append((job, timing))
    rows = as_rows(measured)
    peaks = peak_gmacs(measured)
    console = Console()
    if not console.is_terminal:  # a file or a pipe has no width that lines would have to fit
        console = Console(width=WIDEST)
    for title, lines in as_tables(rows).items():
        table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
        for index, heading in enumerate(COLUMNS):
            table.add_column(heading, justify="left" if index < 2 else "right", no_wrap=index < 2)
        for cells in lines:
            table.add_row(*cells)
        console.print(table)
    console.print(LEGEND if rows else "no models", highlight=False)
    for (precision, threads), peak in sorted(peaks.items()):
        console.print(
            f"convolutions at their best, {precision}, {threads} threads: {peak:.0f} GMAC/s"
        )
    choices = compare_choices(measured, models=config.models, outputs=outputs)
    for line in choice_lines(choices):
        console.print(line)
    if config.json is not None:
        peak_rows = [
            {"precision": precision, "threads": threads, "gmac_per_s": round(peak, 1)}
            for (precision, threads), peak in sorted(peaks.items())
        ]
        write_result(config.json, "speed", {"rows": rows, "peaks": peak_rows, "choices": choices})
