"""What an evaluation says: a table to read, and JSON to keep."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, pstdev

from decoder.training.bd_rate import BdRate, bd_rate
from decoder.training.evaluate import Score
from decoder.training.machine import machine, versions
from decoder.training.picture_quality import METRICS, Quality
from stream.config import format_bitrate
from stream.errors import ConfigError

_CLIP_WIDTH = 28
_MODEL_WIDTH = 16
_DIGITS = {"ssim_y": 4}
"""Decimals shown of a metric; two of the others."""

BD_METRICS = ("psnr_y_db", "vmaf_neg")

_COLUMNS = "".join(f"  {METRICS[metric]:>8} {'gain':>7}" for metric in METRICS)
HEADER = (
    f"{'clip':<{_CLIP_WIDTH}} {'codec':<5} {'target':>6} {'coded':>6}"
    f"  {'restored by':<{_MODEL_WIDTH}}{_COLUMNS}"
)


def score_lines(score: Score, *, classical: bool = True) -> list[str]:
    """Rows of the table: Lanczos and bicubic, if wanted, then the model with its gains."""
    rows = [("lanczos", score.lanczos), ("bicubic", score.bicubic)] if classical else []
    rows.append((score.model, score.restored))
    target, coded = format_bitrate(score.target_bps), f"{score.coded_bps / 1000:.0f}k"
    return [
        _line(
            (score.clip, score.codec, target, coded, name),
            {metric: getattr(quality, metric) for metric in METRICS},
            {
                metric: score.gain(metric) if quality is score.restored else None
                for metric in METRICS
            },
        )
        for name, quality in rows
    ]


def mean_lines(scores: Sequence[Score]) -> list[str]:
    """For each model, codec and bitrate a row with means over its clips; then its worst places."""
    lines = []
    for group in grouped(scores).values():
        first = group[0]
        coded = fmean(score.coded_bps for score in group)
        cells = f"mean of {len(group)}", first.codec, format_bitrate(first.target_bps)
        values = {metric: _mean([getattr(s.restored, metric) for s in group]) for metric in METRICS}
        gains = {metric: _mean([score.gain(metric) for score in group]) for metric in METRICS}
        lines.append(_line((*cells, f"{coded / 1000:.0f}k", first.model), values, gains))
    for model_path, of_model in _by_model(scores).items():
        worst = _worst(of_model)
        places = [
            f"{METRICS[metric]} {found['gain']:+.{_DIGITS.get(metric, 2)}f}"
            f" ({found['clip']} {found['codec']} {format_bitrate(int(str(found['target_bps'])))})"
            for metric, found in worst.items()
        ]
        lines.append(f"worst of {model_path} against Lanczos: {', '.join(places)}")
    return lines


def bd_lines(scores: Sequence[Score]) -> list[str]:
    """For each model, codec and metric: bits against Lanczos, clip by clip and in the mean."""
    lines = []
    for (model_path, codec, metric), by_clip in bd_rates(scores).items():
        told = [
            f"{clip} {rate.percent:+.1f}%" if rate.percent is not None else f"{clip}: {rate.reason}"
            for clip, rate in by_clip.items()
        ]
        percents = [rate.percent for rate in by_clip.values() if rate.percent is not None]
        mean = "none"
        if percents:
            mean = f"{fmean(percents):+.1f}% ± {pstdev(percents):.1f}"
        lines.append(
            f"BD-rate of {model_path} against Lanczos, {codec}, {METRICS[metric]}:"
            f" {mean} over {len(percents)} of {len(by_clip)} clips ({'; '.join(told)})"
        )
    return lines


def bd_rates(scores: Sequence[Score]) -> dict[tuple[str, str, str], dict[str, BdRate]]:
    """BD-rate against Lanczos by (model as asked for, codec, metric), then clip.

    Raises ImportError when the package bjontegaard is not installed.
    """
    found: dict[tuple[str, str, str], dict[str, BdRate]] = {}
    curves: dict[tuple[str, str, str], list[Score]] = {}
    for score in scores:
        curves.setdefault((score.model_path, score.codec, score.clip), []).append(score)
    for metric in BD_METRICS:
        for (model_path, codec, clip), points in curves.items():
            sides = [
                [(float(s.coded_bps), getattr(quality(s), metric)) for s in points]
                for quality in (_lanczos, _restored)
            ]
            if all(value is not None for side in sides for _, value in side):
                by_clip = found.setdefault((model_path, codec, metric), {})
                by_clip[clip] = bd_rate(*sides)
    return found


def grouped(scores: Sequence[Score]) -> dict[tuple[str, str, int], list[Score]]:
    """Scores by model, as asked for, codec and target bitrate, in the order of appearance."""
    groups: dict[tuple[str, str, int], list[Score]] = {}
    for score in scores:
        groups.setdefault((score.model_path, score.codec, score.target_bps), []).append(score)
    return groups


def write_json(path: Path, scores: Sequence[Score], *, judge: str | None = None) -> None:
    """Write everything measured, with means, machine and versions. Raises ConfigError.

    judge: what measured VMAF.
    """
    content = {
        "machine": machine(),
        "versions": versions() | ({"vmaf": judge} if judge else {}),
        "scores": [_as_json(score) for score in scores],
        "means": [_means(group) for group in grouped(scores).values()],
        "worst": {model: _worst(group) for model, group in _by_model(scores).items()},
        "bd_rates": [
            {
                "model_path": model_path,
                "codec": codec,
                "metric": metric,
                "against": "lanczos",
                "mean_percent": _mean([rate.percent for rate in by_clip.values()]),
                "clips": {clip: asdict(rate) for clip, rate in by_clip.items()},
            }
            for (model_path, codec, metric), by_clip in bd_rates(scores).items()
        ],
    }
    try:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--json {path}: {error.strerror}") from error


def _line(
    cells: tuple[str, str, str, str, str],
    values: dict[str, float | None],
    gains: dict[str, float | None],
) -> str:
    clip, codec, target, coded, name = cells
    columns = ""
    for metric in METRICS:
        digits, value, gain = _DIGITS.get(metric, 2), values[metric], gains[metric]
        columns += f"  {'-' if value is None else f'{value:.{digits}f}':>8}"
        columns += f" {'' if gain is None else f'{gain:+.{digits}f}':>7}"
    return (
        f"{clip[:_CLIP_WIDTH]:<{_CLIP_WIDTH}} {codec:<5} {target:>6} {coded:>6}"
        f"  {name[:_MODEL_WIDTH]:<{_MODEL_WIDTH}}{columns}"
    ).rstrip()


def _by_model(scores: Sequence[Score]) -> dict[str, list[Score]]:
    groups: dict[str, list[Score]] = {}
    for score in scores:
        groups.setdefault(score.model_path, []).append(score)
    return groups


def _worst(scores: Sequence[Score]) -> dict[str, dict[str, object]]:
    """For each metric that was measured the smallest gain, and where it was."""
    worst: dict[str, dict[str, object]] = {}
    for metric in METRICS:
        gains = [(gain, score) for score in scores if (gain := score.gain(metric)) is not None]
        if gains:
            gain, score = min(gains, key=lambda each: each[0])
            place = {"clip": score.clip, "codec": score.codec, "target_bps": score.target_bps}
            worst[metric] = {"gain": round(gain, 4), **place}
    return worst


def _means(group: Sequence[Score]) -> dict[str, object]:
    first = group[0]
    means: dict[str, object] = {
        "model": first.model,
        "model_path": first.model_path,
        "codec": first.codec,
        "target_bps": first.target_bps,
        "clips": len(group),
        "coded_bps": round(fmean(score.coded_bps for score in group)),
    }
    for name in ("lanczos", "bicubic", "restored"):
        qualities = [getattr(score, name) for score in group]
        means[name] = {m: _mean([getattr(q, m) for q in qualities]) for m in METRICS}
    means["gain"] = {m: _mean([score.gain(m) for score in group]) for m in METRICS}
    return means


def _mean(values: Sequence[float | None]) -> float | None:
    """Of those that were measured."""
    known = [value for value in values if value is not None]
    return round(fmean(known), 4) if known else None


def _lanczos(score: Score) -> Quality:
    return score.lanczos


def _restored(score: Score) -> Quality:
    return score.restored


def _as_json(score: Score) -> dict[str, object]:
    content = asdict(score)
    del content["crops"]
    sizes = {"hr_size": str(score.hr_size), "lr_size": str(score.lr_size)}
    return content | sizes | {"gain": {metric: score.gain(metric) for metric in METRICS}}
