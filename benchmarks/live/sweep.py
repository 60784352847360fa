"""Live runs over clips, sizes and rates: the points of rate-quality curves, one after the other.

One at a time, since each takes the whole machine. Every finished run is a file of its own, in the
form of `edvr-bench latency`; a run that is there already is not made again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bandwidth.clips import source_digest
from benchmarks.bandwidth.models import models_for
from benchmarks.bandwidth.points import model_digest
from benchmarks.bandwidth.store import code_digest, key_of
from benchmarks.live.clip import read_clip
from benchmarks.live.point import DIRECT, LiveRun, measure_live
from benchmarks.result_file import write_result
from decoder.artefact import find_artefact, list_artefacts
from decoder.model_choice import AUTO
from stream.config import format_bitrate
from stream.frame import Frame, Size

PRODUCT_SOURCES = ("benchmarks/live/*.py", "decoder/**/*.py", "encoder/*.py", "stream/*.py")
"""What a live run is made of."""

Tell = Callable[[str, int, int], None]
"""Is told what runs now, how many runs are over, and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSweep:
    """What to run. shares: sides of the small pictures as shares of the output's.

    direct_bitrates: at which the full picture travels instead. models: each at the sizes that it
    enlarges to the output; none leaves the choice to the receiver. seconds: of each clip.
    """

    clips: Sequence[str]
    size: Size
    shares: Sequence[float]
    bitrates: Sequence[int]
    direct_bitrates: Sequence[int]
    codecs: Sequence[str] = ("auto",)
    models: Sequence[str] = ()
    seconds: float = 5.0
    playout_ms: float = 400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One run. travels: the size that does; None for the full picture. model: or DIRECT."""

    clip: str
    codec: str
    model: str
    travels: Size | None
    bitrate_bps: int

    def file_name(self, key: str) -> str:
        """Tells a reader what it is, and by the key what it was made of."""
        name = re.sub(r"[^\w.-]+", "-", Path(self.clip).name).strip("-")
        size = DIRECT if self.travels is None else str(self.travels)
        return f"{name}-{self.codec}-{size}-{format_bitrate(self.bitrate_bps)}-{key[:12]}.json"


def planned(sweep: LiveSweep) -> list[PlannedRun]:
    """All runs, clip by clip."""
    sizes = [
        Size(width=_even(sweep.size.width * share), height=_even(sweep.size.height * share))
        for share in sweep.shares
    ]
    choices: list[tuple[str, Size | None, int]] = [
        *(
            (model, size, rate)
            for size in sizes
            for model in _models_at(sweep, size)
            for rate in sweep.bitrates
        ),
        *((DIRECT, None, rate) for rate in sweep.direct_bitrates),
    ]
    return [
        PlannedRun(clip=clip, codec=codec, model=model, travels=size, bitrate_bps=rate)
        for clip in sweep.clips
        for codec in sweep.codecs
        for model, size, rate in choices
    ]


def run_sweep(sweep: LiveSweep, folder: Path, tell: Tell) -> list[Path]:
    """Make every run that `folder` does not hold yet; the files of all, in order.

    Raises ConfigError for a clip that cannot be used and for a process that fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs = planned(sweep)
    product = code_digest(PRODUCT_SOURCES)
    read: tuple[str, tuple[str, list[Frame], float]] | None = None
    files = []
    for index, run in enumerate(runs):
        path = folder / run.file_name(_key(sweep, run, product))
        files.append(path)
        tell(path.stem, index, len(runs))
        if path.exists():
            continue
        if read is None or read[0] != run.clip:
            read = (run.clip, read_clip(run.clip, seconds=sweep.seconds))
        name, clip, frame_rate = read[1]
        figures = measure_live(
            LiveRun(
                name=name,
                clip=clip,
                frame_rate=frame_rate,
                size=sweep.size,
                lr_size=run.travels,
                bitrate_bps=run.bitrate_bps,
                codec=run.codec,
                model=run.model,
                playout_ms=sweep.playout_ms,
            )
        )
        part = path.with_suffix(".part")
        write_result(part, "latency", figures)
        part.replace(path)
    tell("", len(runs), len(runs))
    return files


def load_figures(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """The figures of finished runs. Any: values from JSON."""
    return [json.loads(path.read_text(encoding="utf-8"))["figures"] for path in paths]


def _models_at(sweep: LiveSweep, travels: Size) -> list[str]:
    """What restores pictures of a size: of the models asked for those that reach the output."""
    if not sweep.models:
        return [AUTO]
    found = {name: find_artefact(name) for name in sweep.models}
    fitting = models_for(list(found.values()), lr_size=travels, hr_size=sweep.size)
    return [name for name, artefact in found.items() if artefact in fitting]


def _key(sweep: LiveSweep, run: PlannedRun, product: str) -> str:
    """All that the figures of a run follow from, but for the machine."""
    parts = {
        "source": source_digest(Path(run.clip)) if Path(run.clip).exists() else run.clip,
        "size": str(sweep.size),
        "travels": str(run.travels),
        "bitrate_bps": run.bitrate_bps,
        "codec": run.codec,
        "model": run.model,
        "models": _digests(run.model),
        "product": product,
        "seconds": sweep.seconds,
        "playout_ms": sweep.playout_ms,
    }
    return key_of(parts)


def _digests(model: str) -> list[str]:
    """Of the model, or of all that a receiver may choose from."""
    if model == DIRECT:
        return []
    return [
        model_digest(m) for m in (list_artefacts() if model == AUTO else [find_artefact(model)])
    ]


def _even(side: float) -> int:
    return max(2, round(side / 2) * 2)
