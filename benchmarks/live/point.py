"""One live run as figures: what it cost on the wire, what a viewer saw, how late it was."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.live.latency import percentiles, picture_times
from benchmarks.live.playout import Playout, play
from benchmarks.live.relay import PathModel
from benchmarks.live.session import LiveRecording, LiveSession, record
from benchmarks.live.time_code import measured_rows, read_number
from benchmarks.live.wire_record import number_pictures
from benchmarks.quality import psnr_y, read_y4m
from decoder.lanczos import LanczosScaler
from encoder.downscale import Downscaler
from stream.errors import ConfigError
from stream.frame import Frame, Size

DIRECT = "direct"
"""In place of a model: HD travels, and nothing is restored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRun:
    """What to run and how to judge it.

    clip: its frames, of one size, at `frame_rate`. size: what the receiver puts out. lr_size: what
    travels; None lets the sender choose. model: as for `edvr-receive`, or DIRECT. playout_ms: a
    viewer shows each picture this long after it was taken. forward, backward: an emulated path.
    """

    name: str
    clip: Sequence[Frame]
    frame_rate: float
    size: Size
    lr_size: Size | None
    bitrate_bps: int | None
    codec: str = "auto"
    model: str = "auto"
    lookahead: int | None = None
    playout_ms: float = 400.0
    forward: PathModel | None = None
    backward: PathModel | None = None


def measure_live(run: LiveRun) -> dict[str, Any]:
    """Run it and return its figures, for JSON. Raises ConfigError when a process fails."""
    clip = _at_size(run.clip, run.size)
    hd_size = clip[0].size
    travels = hd_size if run.model == DIRECT else run.lr_size
    rate = "auto" if run.bitrate_bps is None else str(run.bitrate_bps)
    sender = ["--bitrate", rate, "--codec", run.codec, "--no-audio"]
    sender += ["--size", "auto" if travels is None else str(travels), "--hd-size", str(hd_size)]
    receiver = ["--model", "lanczos" if run.model == DIRECT else run.model]
    if run.lookahead is not None:
        receiver += ["--lookahead", str(run.lookahead)]
    with tempfile.TemporaryDirectory(prefix="edvr-live-") as folder:
        sent = Path(folder) / "sent.y4m"
        recording = record(
            LiveSession(
                clip=clip,
                frame_rate=run.frame_rate,
                size=hd_size,
                sender=tuple(sender),
                receiver=tuple(receiver),
                forward=run.forward,
                backward=run.backward,
                lr_output=sent,
            )
        )
        figures = _figures(run, clip, recording)
        figures["psnr_y_lanczos_db"] = _round(_lanczos_quality(run, clip, recording, sent))
    return figures


def _figures(run: LiveRun, clip: Sequence[Frame], recording: LiveRecording) -> dict[str, Any]:
    fed, out, stats = recording.measured_fed_ms, recording.came_out_ms, recording.stats
    playout = play(fed, out, delay_ms=run.playout_ms)
    on_wire = number_pictures(recording.wire, recording.fed_ms, frame_rate=run.frame_rate)
    measured = [on_wire[number] for number in fed if number in on_wire]
    times = picture_times(fed, on_wire, out)
    pictures = {each.number: each.frame for each in recording.shown}
    return {
        "clip": run.name,
        "model": run.model if run.model == DIRECT else stats["model"],
        "backend": stats["backend"],
        "codec": stats["codec"],
        "lr_size": stats["lr_size"],
        "size": stats["size"],
        "frame_rate": run.frame_rate,
        "target_bps": run.bitrate_bps,
        # by whole pictures, so that it does not matter where the measured part ends
        "video_bps": round(8 * sum(p.bytes for p in measured) * run.frame_rate / len(fed)),
        "video_peak_1s_bps": recording.wire.peak_bps(*recording.span_ms),
        "wire_bps": recording.wire.rates_bps(*recording.span_ms),
        "frames": len(fed),
        "frames_not_sent": len(fed) - len(measured),
        "frames_dropped": playout.dropped,
        "frames_late": playout.late,
        "longest_freeze_ms": round(1000 * (playout.longest_freeze - 1) / run.frame_rate),
        "unreadable_codes": recording.unreadable,
        "packets_lost_on_path": recording.wire.lost_packets,
        "playout_ms": run.playout_ms,
        "psnr_y_db": _round(_quality(clip, recording.first, playout, pictures)),
        "latency_ms": percentiles(times),
        "receiver_latency_ms": stats["latency_ms"],
        "counted_bytes": {
            "relay": sum(n for _, way, _, n in recording.wire.events if way == "forward"),
            "receiver": stats["wire_bytes"],
        },
    }


def _quality(
    clip: Sequence[Frame], first: int, playout: Playout, pictures: dict[int, Frame]
) -> float | None:
    """Mean PSNR-Y of what a viewer saw at each moment; None when nothing came out."""
    rows = measured_rows(clip[0].size.height)
    values = [
        psnr_y(pictures[number].y[rows], clip[index].y[rows])
        for index, number in enumerate(playout.shown)
        if number is not None
    ]
    return float(np.mean(values)) if values else None


def _lanczos_quality(
    run: LiveRun, clip: Sequence[Frame], recording: LiveRecording, sent: Path
) -> float | None:
    """The same for the pictures as they travelled, enlarged by Lanczos, at the same moments."""
    scaler = LanczosScaler(clip[0].size)
    pictures: dict[int, Frame] = {}
    for frame in read_y4m(sent):
        number = read_number(frame.y)
        if number is not None and number >= recording.first:
            pictures[number] = scaler.scale(frame)
    out = {number: at_ms for number, at_ms in recording.came_out_ms.items() if number in pictures}
    playout = play(recording.measured_fed_ms, out, delay_ms=run.playout_ms)
    return _quality(clip, recording.first, playout, pictures)


def _at_size(clip: Sequence[Frame], size: Size) -> list[Frame]:
    """The clip as it would look unharmed at the output size."""
    if not clip:
        raise ConfigError("the clip has no pictures")
    hd_size = clip[0].size.fit_inside(size)
    if hd_size.width > clip[0].size.width:
        raise ConfigError(
            f"the clip ({clip[0].size}) is smaller than the output ({hd_size}): there is nothing "
            f"to compare with; choose --size {clip[0].size}"
        )
    downscaler = Downscaler()
    return [
        replace(downscaler.downscale(frame, size=hd_size), quantiser=None, entered_ms=None)
        for frame in clip
    ]


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
