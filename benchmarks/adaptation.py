"""What adapting a model to a programme gains, and what of it is worth its bytes.

`python -m benchmarks.adaptation --data FOLDER --json adaptation.json` adapts a model to each
programme of `adaptation_cases.toml`, on its earlier footage, and measures the *coded* change on
later footage, coded as a stream of its own: PSNR-Y and, unless `--no-vmaf`, VMAF-NEG of all frames.
Several `--part` and `--coarseness` make an ablation. The gate of `edvr-model adapt` is asked too;
where it refuses, a user gets no profile, and the gain counts as none.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, get_args

from benchmarks.adaptation_cases import Case, read_cases, write_parts
from benchmarks.result_file import write_result
from decoder.artefact import Artefact, find_artefact
from decoder.edvr.live import LiveEdvr
from decoder.training.adapt import Adaptation, Budget, Tensors, adapt
from decoder.training.adapt_command import adaptation_json
from decoder.training.adaptation_footage import plan_pieces
from decoder.training.adaptation_windows import AdaptationWindows, coding_of, cut_windows
from decoder.training.artefact_network import live_network
from decoder.training.corpus import CorpusConfig, code_shot
from decoder.training.delta_training import DeltaSettings, Part
from decoder.training.picture_quality import Quality, QualityMeter
from decoder.training.raw_clip import RawClip
from decoder.training.restored_clip import restored_clip
from stream.config import parse_bitrate
from stream.errors import EdvrError
from stream.frame import Frame

RATES = ("60k", "110k", "200k")
CODECS = ("h264", "av1")
METRICS = ("psnr_y_db", "vmaf_neg")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        cases = [case for case in read_cases() if not options.cases or case.name in options.cases]
        rows: list[dict[str, Any]] = []  # Any: JSON values
        print("model       case         part  coarse    kB  b/weight  gate     gain dB (h264, av1)")
        for model in options.models:
            artefact = find_artefact(model)
            for case in cases:
                for row in _measure(artefact, case, options):
                    rows.append(row)
                    print(_line(row), flush=True)
                    if options.json is not None:  # an interrupted run keeps what it has
                        write_result(options.json, "adaptation", _figures(rows, options))
    except EdvrError as error:
        print(f"adaptation: {error}", file=sys.stderr)
        return 2
    return 0


def _measure(
    artefact: Artefact, case: Case, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:  # Any: JSON values
    manifest = artefact.manifest
    coding = coding_of(
        scale=manifest.scale,
        window=manifest.window,
        lookahead=manifest.lookahead,
        bitrates_bps=[parse_bitrate(rate) for rate in options.bitrates],
        codecs=CODECS,
    )
    with TemporaryDirectory(prefix="edvr-adaptation-") as scratch:
        clips = {
            name: write_parts(
                parts,
                options.data,
                Path(scratch) / name,
                alternate_s=case.alternate_s,
                scale=manifest.scale,
            )
            for name, parts in (("adapt", case.adapt), ("test", case.test))
        }
        windows = cut_windows(plan_pieces([clip.path for clip in clips["adapt"]]), coding)
        network = live_network(artefact)
        sent = _code(clips["test"], coding, Path(scratch))
        before = _qualities(network, {}, sent, options)
        for part in options.parts:
            for coarseness in options.coarseness:
                settings = DeltaSettings(part=part, coarseness=coarseness)
                found, cpu_s = _adapt(artefact, windows, settings, options.steps)
                after = _qualities(network, found.tensors, sent, options)
                yield {
                    "model": manifest.name,
                    "case": case.name,
                    "part": part,
                    "coarseness": coarseness,
                    "cpu_s": round(cpu_s, 1),
                    **{k: v for k, v in adaptation_json(found).items() if k != "looks"},
                    "test": _gains(before, after),
                }


def _adapt(
    artefact: Artefact, windows: AdaptationWindows, settings: DeltaSettings, steps: int
) -> tuple[Adaptation, float]:
    started_s = time.process_time()
    found = adapt(artefact, windows, settings, Budget(seconds=0, steps=steps))
    return found, time.process_time() - started_s


_Rung = tuple[str, int]
_Sent = list[tuple[_Rung, RawClip, list[Frame]]]


def _code(clips: list[RawClip], coding: CorpusConfig, scratch: Path) -> _Sent:
    """Each test clip at every rung, with its LR frames."""
    rungs = [(codec, bitrate) for codec in coding.codecs for bitrate in coding.bitrates_bps]
    sent: _Sent = []
    for index, clip in enumerate(clips):
        folder = scratch / f"sent-{index}"
        folder.mkdir()
        frames = [clip.frame(at) for at in range(len(clip))]
        coded = code_shot(frames, clip.frame_rate, folder, coding)
        sent += [(rung, clip, lr) for rung, lr in zip(rungs, coded, strict=True)]
    return sent


def _qualities(
    network: LiveEdvr, change: Tensors, sent: _Sent, options: argparse.Namespace
) -> list[tuple[_Rung, Quality]]:
    found = []
    for rung, clip, lr in sent:
        with QualityMeter(clip, vmaf=options.vmaf) as meter:
            for frame in restored_clip(network, change, lr):
                meter.push(frame)
            found.append((rung, meter.quality()))
    return found


def _gains(
    before: list[tuple[_Rung, Quality]], after: list[tuple[_Rung, Quality]]
) -> list[dict[str, Any]]:  # Any: JSON values
    """Means over the test clips, rung by rung."""
    rows = []
    for rung in dict.fromkeys(rung for rung, _ in before):
        row: dict[str, Any] = {"codec": rung[0], "bitrate_bps": rung[1]}
        for metric in METRICS:
            for name, scores in (("base", before), ("adapted", after)):
                values = [getattr(quality, metric) for found, quality in scores if found == rung]
                known = [value for value in values if value is not None]
                row[f"{name}_{metric}"] = round(fmean(known), 4) if known else None
        rows.append(row)
    return rows


def _gain(row: dict[str, Any], metric: str, codec: str) -> float | None:
    gains = [
        rung[f"adapted_{metric}"] - rung[f"base_{metric}"]
        for rung in row["test"]
        if rung["codec"] == codec and rung[f"base_{metric}"] is not None
    ]
    return fmean(gains) if gains else None


def _line(row: dict[str, Any]) -> str:
    gate = "refused" if row["refused"] else "passed"
    gains = " ".join(f"{_gain(row, 'psnr_y_db', codec) or 0:+.3f}" for codec in CODECS)
    neg = [_gain(row, "vmaf_neg", codec) for codec in CODECS]
    told = "" if None in neg else "  VMAF-NEG " + " ".join(f"{gain:+.2f}" for gain in neg)
    return (
        f"{row['model']:<11} {row['case']:<12} {row['part']:<5} {row['coarseness']:5g}"
        f" {row['coded_bytes'] / 1000:6.1f} {row['bits_per_weight'] or 0:8.2f}   {gate:<8}"
        f" {gains}{told}"
    )


def _figures(rows: list[dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    command = ["python -m benchmarks.adaptation --data FOLDER", "--steps", str(options.steps)]
    command += [] if options.vmaf else ["--no-vmaf"]
    for name in ("models", "parts", "coarseness", "cases", "bitrates"):
        if getattr(options, name):
            command += [f"--{name}", *map(str, getattr(options, name))]
    return {"command": " ".join(command), "steps": options.steps, "rows": rows}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="adaptation", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the cases' clips")
    parser.add_argument("--models", nargs="+", default=["live-xs-x4"])
    parser.add_argument("--cases", nargs="+", default=[], help="names; all unless given")
    parser.add_argument("--parts", nargs="+", default=["fuse"], choices=get_args(Part))
    parser.add_argument("--coarseness", nargs="+", type=float, default=[1.5])
    parser.add_argument("--bitrates", nargs="+", default=list(RATES))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--vmaf", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--json", type=Path, help="file for the results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
