"""`make demo`: the whole path on this machine, by real processes, and what it saved.

A receiver process and a sender process on loopback; the sender streams a clip small, the receiver
rebuilds it. Afterwards the very frames that travelled and that came out are compared with the
source, and with coding the full picture directly.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comparison import comparison_picture, write_png
from benchmarks.direct_coding import bitrate_for_quality
from benchmarks.frame_matching import matching_frames, presentation_times
from benchmarks.quality import psnr_y, read_y4m
from benchmarks.result_file import write_result
from decoder.lanczos import LanczosScaler
from encoder.capture import open_source
from encoder.downscale import Downscaler
from encoder.source import SourceConfig
from stream.config import format_bitrate, parse_bitrate, parse_size
from stream.errors import ConfigError, EdvrError
from stream.frame import Frame, Size

GENERATED = "test:10?size=1280x720&fps=25"
MAX_SECONDS = 20
"""Longer clips are cut: the raw frames that are measured take 35 MB a second at 720p."""

READY_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What to stream, and where the results go."""

    clip: str
    bitrate_bps: int
    size: Size
    lr_size: Size
    folder: Path


def run_demo(demo: Demo) -> dict[str, Any]:
    """Stream, measure, write the picture; returns the figures. Any: values for JSON."""
    demo.folder.mkdir(parents=True, exist_ok=True)
    restored_raw, sent_raw = demo.folder / "restored.y4m", demo.folder / "sent.y4m"
    stats = demo.folder / "stats.jsonl"
    stats.unlink(missing_ok=True)
    try:
        _stream(demo, restored_raw, sent_raw, stats)
        figures = _measure(demo, restored_raw, sent_raw)
    finally:
        restored_raw.unlink(missing_ok=True)
        sent_raw.unlink(missing_ok=True)
    last = json.loads(stats.read_text().splitlines()[-1])
    seconds = figures["frames_sent"] / figures["frame_rate"]
    figures |= {
        "wire_bps": round(8 * last["wire_bytes"] / seconds),
        "frames_dropped": last["frames_dropped"],
        "frames_lost": last["frames_lost"],
        "model": last["model"],
        "backend": last["backend"],
        "latency_ms": last["latency_ms"],
    }
    return figures


def _stream(demo: Demo, restored: Path, sent: Path, stats: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    receiver = [sys.executable, "-m", "decoder.cli", "--listen", f"127.0.0.1:{port}"]
    receiver += ["--size", str(demo.size), "--stats", str(stats)]
    receiver += ["--output", str(demo.folder / "restored.mp4"), f"y4m:{restored}"]
    receiver += ["--lr-output", f"y4m:{sent}"]
    sender = [sys.executable, "-m", "encoder.cli", demo.clip]
    sender += ["--whip", f"http://127.0.0.1:{port}/whip", "--size", str(demo.lr_size)]
    # without sound: what is compared is pictures
    sender += ["--bitrate", str(demo.bitrate_bps), "--duration", str(MAX_SECONDS), "--no-audio"]
    # Sender, receiver and its raw outputs share this machine here: AV1, which saves about as much
    # again, would leave two cores nothing to restore with.
    sender += ["--codec", "h264"]
    receiving = subprocess.Popen(receiver)
    try:
        _wait_for_port(port, receiving)
        sending = subprocess.run(sender, check=False)
        if sending.returncode:
            raise ConfigError("the sender failed; its message is above")
        time.sleep(1.0)  # what is still in the receiver comes out
    finally:
        receiving.send_signal(signal.SIGINT)
        if receiving.wait(timeout=30):
            raise ConfigError("the receiver failed; its message is above")


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise ConfigError("the receiver did not start; its message is above")


def _source_frames(demo: Demo, size: Size) -> tuple[list[Frame], float]:
    """The source as it would look unharmed at the output size, and its frame rate."""
    source = open_source(SourceConfig(url=demo.clip, audio=False))
    downscaler = Downscaler()
    frames: list[Frame] = []
    limit = round(MAX_SECONDS * source.info.fps)
    while len(frames) < limit and (item := source.read()) is not None:
        if isinstance(item, Frame):
            smaller = item.size.width > size.width
            frames.append(downscaler.downscale(item, size=size) if smaller else item)
    source.close()
    return frames, source.info.fps


def _measure(demo: Demo, restored_raw: Path, sent_raw: Path) -> dict[str, Any]:
    restored = list(read_y4m(restored_raw))
    if not restored:
        raise ConfigError("no frame came out; the receiver's messages are above")
    originals, frame_rate = _source_frames(demo, restored[0].size)
    if originals[0].size != restored[0].size:
        raise ConfigError(
            f"the source ({originals[0].size}) is smaller than the output ({restored[0].size}): "
            f"there is nothing to compare with; choose SIZE={originals[0].size}"
        )
    scaler = LanczosScaler(restored[0].size)
    upscaled = [scaler.scale(frame) for frame in read_y4m(sent_raw)]
    # A machine that is too busy drops frames: what came out is compared with what it shows.
    shown_times = presentation_times(demo.folder / "restored.mp4")
    shown = matching_frames(upscaled, shown_times, originals)
    pairs = list(zip(upscaled, restored, shown, strict=True))
    lanczos_db = [psnr_y(a.y, c.y) for a, _, c in pairs]
    restored_db = [psnr_y(b.y, c.y) for _, b, c in pairs]
    # the frame whose gain is typical, not the best one
    gains = np.array(restored_db) - np.array(lanczos_db)
    typical = int(np.argsort(gains)[len(gains) // 2])
    bitrate = format_bitrate(demo.bitrate_bps)
    labels = [f"sent {demo.lr_size} {bitrate}, lanczos", "restored", "original"]
    panels = dict(zip(labels, pairs[typical], strict=True))
    write_png(demo.folder / "comparison.png", comparison_picture(panels))
    direct_bps, points = bitrate_for_quality(
        originals,
        frame_rate=frame_rate,
        psnr_y_db=float(np.mean(restored_db)),
        start_bps=demo.bitrate_bps,
    )
    return {
        "frames": len(restored),
        "frames_sent": len(originals),
        "frame_rate": frame_rate,
        "psnr_y_lanczos_db": round(float(np.mean(lanczos_db)), 3),
        "psnr_y_restored_db": round(float(np.mean(restored_db)), 3),
        "direct_wire_bps": None if direct_bps is None else round(direct_bps),
        "direct_points": [
            {"wire_bps": round(point.wire_bps), "psnr_y_db": round(point.psnr_y_db, 3)}
            for point in points
        ],
    }


def _print(demo: Demo, figures: dict[str, Any]) -> None:
    wire, direct = figures["wire_bps"], figures["direct_wire_bps"]
    rate, total = figures["frame_rate"], figures["latency_ms"]["total"]
    kilobytes = wire * figures["frames_sent"] / rate / 8000
    costs = "does not meet this quality between the rates that were tried"
    if direct is not None:
        costs = (
            f"needs {direct / 1000:.0f} kb/s for the restored quality: {direct / wire:.1f} times"
        )
    lanczos_db, restored_db = figures["psnr_y_lanczos_db"], figures["psnr_y_restored_db"]
    lines = {
        "streamed": f"{figures['frames_sent']} frames, {demo.lr_size} to {demo.size}",
        "restored by": f"{figures['model']} on {figures['backend']}",
        "on the wire": f"{wire / 1000:.0f} kb/s ({kilobytes:.0f} kB)",
        "PSNR-Y": f"Lanczos {lanczos_db:.2f} dB, restored {restored_db:.2f} dB",
        "direct coding": costs,
        "speed": f"{rate:g} frames/s live, {figures['frames_dropped']} dropped",
        "latency": f"packet in to frame out p50 {total['p50']:.0f}, p95 {total['p95']:.0f} ms",
        "look at": f"{demo.folder / 'comparison.png'} and {demo.folder / 'restored.mp4'}",
    }
    for name, text in lines.items():
        print(f"{name:14} {text}")


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.splitlines()[0])
    parser.add_argument("--input", default=GENERATED, help="clip to stream instead of the scene")
    parser.add_argument("--bitrate", default="150k")
    parser.add_argument("--size", default="1280x720", help="size to restore to")
    parser.add_argument("--lr-size", default="640x360", help="size that travels")
    parser.add_argument("--out", type=Path, default=Path("demo"))
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    try:
        demo = Demo(
            clip=options.input,
            bitrate_bps=parse_bitrate(options.bitrate),
            size=parse_size(options.size),
            lr_size=parse_size(options.lr_size),
            folder=options.out,
        )
        figures = run_demo(demo)
        _print(demo, figures)
        if options.json is not None:
            write_result(options.json, "demo", figures)
    except (EdvrError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
