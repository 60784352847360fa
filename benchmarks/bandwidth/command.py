"""What `edvr-bench bandwidth` shows while it measures, and what it says at the end."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from benchmarks.bandwidth.config import ONLINE, BandwidthConfig
from benchmarks.bandwidth.report import headline_rows, load_results, write_report
from benchmarks.bandwidth.run import run_bandwidth


def run(config: BandwidthConfig) -> None:
    """Measure with a progress bar on standard error, write the report, print the headline."""
    logging.basicConfig(level=logging.WARNING, format="edvr-bench: %(message)s")
    console = Console(stderr=True)
    if config.adapt == ONLINE:
        from benchmarks.bandwidth.online import run_online  # loads torch

        chart = run_online(config.as_run(), Console())
        console.print(f"look at {chart}", highlight=False, soft_wrap=True)
        config = replace(config, adapt=None)
    for path in config.live_results:  # before hours are spent on what they are to stand beside
        load_results(path)
    with _Bar(console) if console.is_terminal else ProgressLines(console) as bar:
        results = run_bandwidth(config, bar)
    live_results = [*config.live_results]
    if config.live:
        from benchmarks.live.bandwidth_live import run_live

        live_results += run_live(config, console)
    page = write_report(config.out, results, live_results=live_results)
    heading, rows = headline_rows(results)
    table = Table(*heading)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    console.print(f"look at {page}", highlight=False, soft_wrap=True)


class ProgressLines:
    """The same for a log file: how many points there are to measure, and a line every minute."""

    def __init__(self, console: Console, *, every_s: float = 60.0) -> None:
        self._console, self._every_s = console, every_s
        self._total = self._done = 0.0
        self._started_s = self._told_s = time.monotonic()

    def __enter__(self) -> ProgressLines:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is left open."""

    def say(self, text: str) -> None:
        """What takes seconds is not worth a line."""

    def start(self, *, total: float, kept: int, missing: int) -> None:
        """Say how many points there are to measure."""
        self._tell(_what_is_measured(kept=kept, missing=missing))
        self._total = total
        self._started_s = self._told_s = time.monotonic()

    def advance(self, work: float) -> None:
        """Say how far it is, when nothing was said for a while."""
        self._done += work
        now_s = time.monotonic()
        if now_s - self._told_s < self._every_s:
            return
        self._told_s = now_s
        left_s = (now_s - self._started_s) * (self._total / self._done - 1)
        self._tell(f"{100 * self._done / self._total:.0f} %, {left_s / 60:.0f} minutes left")

    def _tell(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


def _what_is_measured(*, kept: int, missing: int) -> str:
    return f"measuring {missing} points" + (f" ({kept} are there)" if kept else "")


class _Bar:
    """A progress bar that knows when it will be done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = ProgressBar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(compact=True),
            console=console,
            # Points come slowly, and their costs are only roughly known.
            speed_estimate_period=600,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> _Bar:
        self._bar.start()
        self._task = self._bar.add_task("starting", total=None)
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        assert self._task is not None
        self._bar.update(self._task, description=text)

    def start(self, *, total: float, kept: int, missing: int) -> None:
        assert self._task is not None
        text = _what_is_measured(kept=kept, missing=missing)
        self._bar.update(self._task, description=text, total=total, completed=0)

    def advance(self, work: float) -> None:
        assert self._task is not None
        self._bar.advance(self._task, work)
