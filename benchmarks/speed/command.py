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


SHOWN = (
    *("name", "backend", "threads", "lr_size", "size"),
    *("p50_ms", "p95_ms", "cpu_ms", "times_plain", "times_eager"),
)
"""Columns of the table; the file has all."""

WIDEST = 160


def run_speed(config: SpeedConfig) -> None:
    """Measure, print, write."""
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from benchmarks.result_file import write_result
    from benchmarks.speed.choice import choice_lines, compare_choices
    from benchmarks.speed.plan import plan, run_job
    from benchmarks.speed.table import as_rows, peak_gmacs

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
    shown = [name for name in SHOWN if rows and name in rows[0]]
    table = Table(*(shown or ("no models",)))
    for row in rows:
        table.add_row(*("" if row[name] is None else str(row[name]) for name in shown))
    console = Console()
    if not console.is_terminal:  # a file or a pipe has no width that lines would have to fit
        console = Console(width=WIDEST)
    console.print(table)
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
