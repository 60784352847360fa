"""`edvr-bench bandwidth --adapt online`: what it gains to learn the clips on the way."""

from __future__ import annotations

import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.bandwidth.clips import BenchClip, prepare_clips
from benchmarks.bandwidth.config import BandwidthConfig
from benchmarks.online_adaptation import HEADING, line, measure
from benchmarks.online_plot import plot
from benchmarks.online_run import OnlineRun
from benchmarks.result_file import write_result
from decoder.artefact import find_artefact
from decoder.training.raw_clip import RawClip
from stream.errors import ConfigError

MODELS = ("live-xs-x4",)
BITRATES = (150_000,)
"""Unless others are asked for: one rate, since every clip is learned anew at each."""


def run_online(config: BandwidthConfig, console: Console) -> Path:
    """Measure every clip, print the table, write it as JSON and as a picture, whose path this is.

    Raises ConfigError for clips and models that cannot be used, CodecError.
    """
    rows: list[dict[str, Any]] = []  # Any: JSON values
    raw = config.out / "online-clips"
    chart = config.out / "online.svg"
    default = next(each.default for each in fields(config) if each.name == "bitrates")
    rates = BITRATES if config.bitrates == default else config.bitrates
    try:
        clips = prepare_clips(
            config.clips, raw, short_side=config.output_size, seconds=config.seconds
        )
        console.print(HEADING, highlight=False, soft_wrap=True)
        for clip in clips:
            for model in config.models or MODELS:
                artefact = find_artefact(model)
                frames = _raw(clip, artefact.manifest.scale * artefact.manifest.multiple_of, model)
                for codec in config.codecs:
                    for rate in rates:
                        run = OnlineRun(codec=codec, total_bps=rate)
                        rows.append(measure(artefact, frames, run, name=clip.name))
                        console.print(line(rows[-1]), highlight=False, soft_wrap=True)
                        write_result(config.out / "online.json", "online", {"rows": rows})
    finally:
        shutil.rmtree(raw, ignore_errors=True)  # large, and made again in seconds
    chart.write_text(plot(rows), encoding="utf-8")
    return chart


def _raw(clip: BenchClip, multiple_of: int, model: str) -> RawClip:
    if clip.size.width % multiple_of or clip.size.height % multiple_of:
        raise ConfigError(f"{clip.name} is {clip.size}; {model} takes multiples of {multiple_of}")
    with clip.path.open("rb") as file:
        header = file.readline()
    return RawClip(
        clip.path,
        size=clip.size,
        frame_rate=clip.frame_rate,
        count=clip.frames,
        header_bytes=len(header),
    )
