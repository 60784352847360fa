"""`edvr-bench latency`: settings and table."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from benchmarks import link
from benchmarks.link import PathConfig, RateTrace, parse_rate_trace
from stream.errors import ConfigError
from stream.flag_types import (
    BitrateOrAuto,
    PictureSize,
    PictureSizeOrAuto,
    StreamName,
    one_value,
)
from stream.frame import Size

MAX_SECONDS = 30.0
"""Restored pictures are kept in memory until they are compared: 35 MB a second at 720p."""

LinkRate = Annotated[
    RateTrace | None, one_value(parse_rate_trace, metavar="RATE[,SECONDS:RATE…]", show=False)
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyConfig:
    """What to stream, how small, and through what."""

    clip: StreamName = "test:?size=1280x720&fps=25"
    """A video file, or test: for the generated scene."""

    seconds: float = 8.0
    """How much of it is measured, at most 30; a shorter clip is not repeated."""

    size: PictureSize = Size(width=1280, height=720)
    """Box that the receiver restores to."""

    lr_size: PictureSizeOrAuto = Size(width=640, height=360)
    """Picture size that travels; auto lets the sender choose."""

    bitrate_bps: Annotated[BitrateOrAuto, Parameter(name="--bitrate")] = 150_000
    """Video bits a second on the wire; auto follows what the path carries."""

    codec: str = "auto"
    """Codec that the sender is to use."""

    model: str = "auto"
    """Model that the receiver is to use; direct sends the full picture instead."""

    lookahead: int | None = None
    """Future frames that the receiver waits for [default: as the model has it]."""

    playout_ms: float = 400.0
    """A picture that comes out later than this after it was taken is not shown."""

    link_rate: LinkRate = None
    """What the path from the sender carries: 300k, or 300k,10:150k,20~300k for a step to 150k at
    10 s and a ramp back until 20 s [default: no limit]."""

    link_delay_ms: float = 0.0
    """One-way delay of the path, in both directions."""

    link_jitter_ms: float = 0.0
    """Up to this much more delay, anew for each packet."""

    link_loss: float = 0.0
    """Share of the sender's packets that are lost, 0 to below 1."""

    json: Path | None = None
    """Also write the figures, the machine and the versions to this file."""

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= MAX_SECONDS:
            raise ConfigError(f"--seconds must be 1 to {MAX_SECONDS:g}, got {self.seconds:g}")
        if not self.playout_ms > 0:
            raise ConfigError(f"--playout-ms must be above 0, got {self.playout_ms:g}")
        self.forward, self.backward  # noqa: B018 (checks the link's settings)

    @property
    def forward(self) -> PathConfig:
        """The path from the sender to the receiver."""
        return PathConfig(
            rate=self.link_rate,
            delay_ms=self.link_delay_ms,
            jitter_ms=self.link_jitter_ms,
            loss_ratio=self.link_loss,
        )

    @property
    def backward(self) -> PathConfig:
        """The path back, for feedback."""
        return PathConfig(delay_ms=self.link_delay_ms, jitter_ms=self.link_jitter_ms)


def run_latency(config: LatencyConfig) -> None:
    """Stream once, print what it took, write the JSON."""
    from benchmarks.live.clip import read_clip
    from benchmarks.live.point import LiveRun, measure_live
    from benchmarks.result_file import write_result

    name, frames, frame_rate = read_clip(config.clip, seconds=config.seconds)
    now_ms = 1000 * time.monotonic()
    figures = measure_live(
        LiveRun(
            name=name,
            clip=frames,
            frame_rate=frame_rate,
            size=config.size,
            lr_size=config.lr_size,
            bitrate_bps=config.bitrate_bps,
            codec=config.codec,
            model=config.model,
            lookahead=config.lookahead,
            playout_ms=config.playout_ms,
            forward=link.Path(config.forward, now_ms=now_ms),
            backward=link.Path(config.backward, now_ms=now_ms),
        )
    )
    figures["link"] = {
        "forward": config.forward.to_json(),
        "backward": config.backward.to_json(),
    }
    _print(figures)
    if config.json is not None:
        write_result(config.json, "latency", figures)


def _print(figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    stages = Table(title="Glass to glass, ms", title_justify="left")
    for name in ("stage", "p50", "p95", "p99", "what it is"):
        stages.add_column(name, justify="right" if name.startswith("p") else "left")
    meanings = {
        "send": "picture in to first packet out: read, shrink, encode",
        "wire": "first packet out to last packet in",
        "receive": "last packet in to restored picture out",
        "total": "picture in to restored picture out",
    }
    for stage, meaning in meanings.items():
        values = figures["latency_ms"][stage]
        stages.add_row(stage, *(f"{values[name]:.0f}" for name in ("p50", "p95", "p99")), meaning)
    for stage, values in figures["receiver_latency_ms"].items():
        if stage != "total":
            row = (f"{values[name]:.0f}" for name in ("p50", "p95", "p99"))
            stages.add_row(f"  {stage}", *row, "the receiver's own count, part of receive")
    wire = figures["wire_bps"]
    others = ", ".join(
        f"{name} {wire[name] / 1000:.1f}"
        for name in ("retransmission", "audio", "rtcp", "stun")
        if wire[name]
    )
    quality = "-" if figures["psnr_y_db"] is None else f"{figures['psnr_y_db']:.2f} dB"
    lanczos = figures["psnr_y_lanczos_db"]
    beside = "" if lanczos is None else f" (Lanczos {lanczos:.2f} dB)"
    target_bps = figures["target_bps"]
    target = "what the path carries" if target_bps is None else f"{target_bps / 1000:.0f} kb/s"
    console = Console()
    console.print(stages)
    console.print(
        f"{figures['clip']}: {figures['lr_size']} to {figures['size']} by {figures['model']}, "
        f"{figures['codec']} at {target}"
    )
    console.print(
        f"on the wire: video {figures['video_bps'] / 1000:.1f} kb/s, {others} kb/s; all that the "
        f"sender sent, with IP and UDP headers, {wire['all_with_ip'] / 1000:.1f} kb/s"
    )
    console.print(
        f"frames: {figures['frames']}, dropped {figures['frames_dropped']}, later than "
        f"{figures['playout_ms']:g} ms {figures['frames_late']}, longest freeze "
        f"{figures['longest_freeze_ms']} ms; PSNR-Y of what was seen {quality}{beside}"
    )
