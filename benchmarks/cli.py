"""`edvr-bench`: measurements that anyone can run again."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from benchmarks.bandwidth.config import BandwidthConfig
from benchmarks.live.latency_cli import LatencyConfig, run_latency
from benchmarks.speed.command import SpeedConfig, run_speed
from stream.command_line import make_app, run_command
from stream.errors import ConfigError
from stream.flag_types import BitrateOrAuto, PictureSize, StreamName, StreamNames
from stream.frame import Size

app = make_app("edvr-bench", "Measure restoration on this machine.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkReportConfig:
    """What to send over an emulated link, and what to do to it."""

    input: Annotated[StreamName, Parameter(name="--input")] = "test:"
    """What to send."""

    size: PictureSize = Size(width=640, height=360)
    """Picture size that travels."""

    fps: float = 25.0
    """Frames a second of the input."""

    codecs: Annotated[StreamNames, Parameter(name="--codecs")] = ("h264", "av1")
    """Codecs to send with, each in turn."""

    bitrate_bps: Annotated[BitrateOrAuto, Parameter(name="--bitrate")] = 150_000
    """Bits a second of the runs with loss."""

    seconds: float = 30.0
    """Length of a run with loss, and of each third of a run with a changing rate."""

    json: Path | None = None
    """Also write the rows, the machine and the versions to this file."""

    page: Path | None = None
    """Also write a page to look at: rates over time, and the tables."""


_DEFAULTS = SpeedConfig()
_LATENCY_DEFAULTS = LatencyConfig()
_LINK_DEFAULTS = LinkReportConfig()


@app.command
def speed(config: Annotated[SpeedConfig, Parameter(name="*")] = _DEFAULTS) -> None:
    """Restoration alone: frames a second of every model on every backend, with Lanczos beside."""
    run_speed(config)


@app.command
def latency(config: Annotated[LatencyConfig, Parameter(name="*")] = _LATENCY_DEFAULTS) -> None:
    """Glass to glass through real processes: time by stage, bits on the wire, quality as seen."""
    run_latency(config)


@app.command
def link(config: Annotated[LinkReportConfig, Parameter(name="*")] = _LINK_DEFAULTS) -> None:
    """Loss and a changing rate: real sender and receiver over an emulated link; needs root."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from benchmarks.link_page import page_text
    from benchmarks.link_report import ONE_WAY_MS, run_link_report
    from benchmarks.result_file import machine, write_result

    tables = run_link_report(
        ["--input", config.input, "--size", str(config.size), "--no-audio"],
        codecs=config.codecs,
        bitrate="auto" if config.bitrate_bps is None else str(config.bitrate_bps),
        frame_rate=config.fps,
        seconds=config.seconds,
    )
    rows = {name: [asdict(row) for row in table] for name, table in tables.items()}
    for name, lines in rows.items():
        columns = [column for column in lines[0] if column != "rates"]
        shown = Table(*columns, title=name)
        for line in lines:
            shown.add_row(*(str(line[column]) for column in columns))
        Console(width=None if sys.stdout.isatty() else 120).print(shown)
    figures = {"settings": {"round_trip_ms": 2 * ONE_WAY_MS}, **rows}
    if config.json is not None:
        write_result(config.json, "link", figures)
    if config.page is not None:
        content = {"machine": machine(), "figures": figures}
        config.page.write_text(page_text(content), encoding="utf-8")


@app.command
def bandwidth(config: Annotated[BandwidthConfig | None, Parameter(name="*")] = None) -> None:
    """Bits saved at equal quality, against direct HD: curves, BD-rates and a report to look at."""
    from benchmarks.bandwidth.command import run

    run((config or BandwidthConfig()).as_run())


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewersConfig:
    """How many viewers, of what, for how long."""

    most: int = 20
    """The largest number of viewers."""

    size: PictureSize = Size(width=1280, height=720)
    """Size of the picture that they view."""

    seconds: float = 10.0
    """How long to measure with each number of viewers."""

    json: Path | None = None
    """Also write the rows, the machine and the versions to this file."""

    def __post_init__(self) -> None:
        if self.most < 2 or self.seconds < 1:
            raise ConfigError("--most must be at least 2 and --seconds at least 1")


_VIEWERS_DEFAULTS = ViewersConfig()


@app.command
async def viewers(
    config: Annotated[ViewersConfig, Parameter(name="*")] = _VIEWERS_DEFAULTS,
) -> None:
    """What viewers cost the receiver: processor time with none, one and many."""
    from benchmarks.result_file import write_result
    from benchmarks.viewers import as_figures, measure, rest_per_viewer

    counts = (0, 1, config.most // 2, config.most)
    rows = await measure(counts, size=config.size, seconds=config.seconds)
    for row in rows:
        print(
            f"{row.viewers:3d} viewers: {row.cores:.3f} cores, {row.sending_cores:.3f} of them for "
            f"{row.packets_per_s:.0f} packets a second, {row.frames_encoded:.1f} pictures a second "
            "compressed"
        )
    print(f"beyond packets, one viewer more takes {100 * rest_per_viewer(rows):.2f} % of a core")
    if config.json is not None:
        write_result(config.json, "viewers", as_figures(rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernorConfig:
    """What to restore, for how long, and beside what."""

    clip: StreamName = "test:"
    """What to send, from the same machine; a small file leaves it the most time."""

    size: PictureSize = Size(width=1280, height=720)
    """Size to restore to."""

    lr_size: PictureSize = Size(width=640, height=360)
    """Picture size that travels."""

    output: StreamName = "null:"
    """Where the restored picture goes."""

    model: StreamName = "auto"
    """Model that restores."""

    threads: int = 0
    """Threads for the network; 0 = one per core."""

    neighbours: int = 1
    """Processes that take a core each."""

    seconds: float = 60.0
    """How long they stay."""

    alone: float = 10.0
    """Seconds without them, before and again afterwards."""

    json: Path | None = None
    """Also write the figures, the machine and the versions to this file."""

    plot: Path | None = None
    """Also draw latency and tiers over time, as SVG."""

    def __post_init__(self) -> None:
        if self.seconds < 2 or self.alone < 2 or self.neighbours < 1:
            raise ConfigError("--seconds and --alone must be at least 2, --neighbours at least 1")


_GOVERNOR_DEFAULTS = GovernorConfig()


@app.command
async def governor(
    config: Annotated[GovernorConfig, Parameter(name="*")] = _GOVERNOR_DEFAULTS,
) -> None:
    """A live run beside busy processes: tiers, latency, frames dropped, processor time."""
    from benchmarks.governor import GovernorRun, report, report_lines, watch
    from benchmarks.governor_plot import plot
    from benchmarks.result_file import write_result

    run = GovernorRun(
        clip=config.clip,
        lr_size=config.lr_size,
        size=config.size,
        alone_s=config.alone,
        beside_s=config.seconds,
        neighbours=config.neighbours,
        receiver=(
            *("--output", config.output, "--model", config.model),
            *("--threads", str(config.threads)),
        ),
    )
    figures = report(run, await watch(run))
    print("\n".join(report_lines(figures)))
    if config.json is not None:
        write_result(config.json, "governor", figures)
    if config.plot is not None:
        config.plot.write_text(plot(figures), encoding="utf-8")


def main() -> int:
    """Entry point; returns the exit code."""
    return run_command(app)


if __name__ == "__main__":
    raise SystemExit(main())
