"""What learning a stream while it runs gains, at the same total of bits.

`python -m benchmarks.online_adaptation --data FOLDER --json online.json` goes through each
programme of `adaptation_cases.toml` once, in the order of time, as `edvr-send --adapt` does: what
is learned comes from pictures that were sent before, weights take their bits from the pictures,
and are in use when they have arrived. Beside it the same programme goes at the same rate without
weights, and is restored by the model as it is. Told are the gain over time, after how long it has
made up for what was lost before, and the processor time. `--svg` draws it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.adaptation_cases import Case, read_cases, write_parts
from benchmarks.online_plot import plot
from benchmarks.online_run import OnlineRun, Track, send
from benchmarks.result_file import write_result
from decoder.artefact import Artefact, find_artefact
from decoder.training.raw_clip import RawClip
from stream.config import parse_bitrate
from stream.errors import EdvrError

STRETCH_S = 10.0
"""Gains are told for stretches of this length."""

CODECS = ("h264", "av1")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    rows: list[dict[str, Any]] = []  # Any: JSON values
    try:
        cases = [case for case in read_cases() if not options.cases or case.name in options.cases]
        print(HEADING)
        for case in cases:
            with TemporaryDirectory(prefix="edvr-online-") as scratch:
                for model in options.models:
                    artefact = find_artefact(model)
                    clip = programme(case, options.data, Path(scratch) / model, artefact)
                    for run in _runs(options):
                        rows.append(measure(artefact, clip, run, name=case.name))
                        print(line(rows[-1]), flush=True)
                        _keep(rows, options)
    except EdvrError as error:
        print(f"online adaptation: {error}", file=sys.stderr)
        return 2
    return 0


def programme(case: Case, data: Path, folder: Path, artefact: Artefact) -> RawClip:
    """All of a case as one clip: what others adapt to, and then what they test on."""
    scale = artefact.manifest.scale
    parts = [
        write_parts(each, data, folder / name, alternate_s=case.alternate_s, scale=scale)
        for name, each in (("first", case.adapt), ("then", case.test))
    ]
    clips = [clip for part in parts for clip in part]
    frames = (clip.frame(at) for clip in clips for at in range(len(clip)))
    return RawClip.write(folder / "programme.y4m", frames, clips[0].frame_rate)


def measure(
    artefact: Artefact, clip: RawClip, run: OnlineRun, *, name: str
) -> dict[str, Any]:  # Any: JSON values
    """Send `clip` twice at the same total of bits: with weights learned on the way, and without."""
    plain = send(artefact, clip, run, learns=False)
    learned = send(artefact, clip, run, learns=True)
    return {
        "case": name,
        "model": artefact.manifest.name,
        "codec": run.codec,
        "total_bps": run.total_bps,
        "budget_bps": run.budget_bps,
        "steps_per_s": run.steps_per_s,
        **gains(plain.psnr_db, learned.psnr_db, frame_rate=clip.frame_rate),
        "sent_bps": [round(_bps(track, clip)) for track in (plain, learned)],
        "weights_share": round(
            learned.weight_bytes / (learned.weight_bytes + learned.video_bytes), 4
        ),
        "cpu_s": round(learned.cpu_s, 1),
        "deltas": learned.deltas,
    }


def gains(
    plain: Mapping[int, float], learned: Mapping[int, float], *, frame_rate: Fraction
) -> dict[str, Any]:  # Any: JSON values
    """The gain in dB over time: in all, by stretches, from minute 2 on, and when it pays.

    pays_after_s: from then on the mean gain since the start is never below zero; None if it is at
    the end.
    """
    frames = sorted(plain)
    gained = np.array([learned[frame] - plain[frame] for frame in frames])
    times = np.array([frame / float(frame_rate) for frame in frames])
    stretches = [
        {"from_s": float(start), "gain_db": round(float(gained[inside].mean()), 4)}
        for start in np.arange(0, times[-1] + 1e-9, STRETCH_S)
        if (inside := (times >= start) & (times < start + STRETCH_S)).any()
    ]
    below = np.flatnonzero(np.cumsum(gained) < -1e-9)
    pays: float | None = 0.0
    if below.size:
        last = int(below[-1])
        pays = None if last + 1 == len(frames) else round(float(times[last + 1]), 2)
    late = gained[times >= 120]
    return {
        "seconds": round(float(times[-1]), 2),
        "plain_psnr_y_db": round(fmean(plain.values()), 4),
        "gain_db": round(float(gained.mean()), 4),
        "gain_from_2_min_db": round(float(late.mean()), 4) if late.size else None,
        "worst_stretch_db": min(stretch["gain_db"] for stretch in stretches),
        "pays_after_s": pays,
        "stretches": stretches,
    }


def _bps(track: Track, clip: RawClip) -> float:
    return 8 * (track.video_bytes + track.weight_bytes) * float(clip.frame_rate) / len(clip)


HEADING = (
    "programme    model       codec  kb/s  seconds  gain dB  from 2 min  worst 10 s  pays after"
    "  weights  cpu s"
)


def line(row: Mapping[str, Any]) -> str:  # Any: JSON values
    """A row of the table under `HEADING`."""
    late, pays = row["gain_from_2_min_db"], row["pays_after_s"]
    return (
        f"{row['case'][:12]:<12} {row['model']:<11} {row['codec']:<5}"
        f" {row['sent_bps'][1] / 1000:5.0f} {row['seconds']:8.1f} {row['gain_db']:+8.3f}"
        f" {'-' if late is None else f'{late:+.3f}':>11} {row['worst_stretch_db']:+11.3f}"
        f" {'never' if pays is None else f'{pays:.0f} s':>11} {row['weights_share']:8.1%}"
        f" {row['cpu_s']:6.0f}"
    )


def _runs(options: argparse.Namespace) -> Iterator[OnlineRun]:
    for codec in options.codecs:
        for rate in options.bitrates:
            yield OnlineRun(
                codec=codec,
                total_bps=parse_bitrate(rate),
                budget_bps=parse_bitrate(options.adapt_budget),
                steps_per_s=options.steps_per_s,
                measure_every=options.measure_every,
            )


def _keep(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """An interrupted run keeps what it has."""
    if options.json is not None:
        write_result(options.json, "online-adaptation", {"rows": rows})
    if options.svg is not None:
        options.svg.write_text(plot(rows), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    about = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="online_adaptation", description=about)
    parser.add_argument("--data", type=Path, required=True, help="folder of the cases' clips")
    parser.add_argument("--cases", nargs="+", default=[], help="names; all unless given")
    parser.add_argument("--models", nargs="+", default=["live-xs-x4"])
    parser.add_argument("--codecs", nargs="+", default=list(CODECS), choices=CODECS)
    parser.add_argument("--bitrates", nargs="+", default=["150k"], help="in all")
    parser.add_argument("--adapt-budget", default="10k", help="of weights while they travel")
    parser.add_argument("--steps-per-s", type=int, default=8, help="of training")
    parser.add_argument("--measure-every", type=int, default=5, help="frames")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--svg", type=Path, help="file for the picture")
    return parser


if __name__ == "__main__":
    sys.exit(main())
