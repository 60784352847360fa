"""What an evaluation says: a table to read, and JSON to keep."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from statistics import fmean

from decoder.training.evaluate import Score
from stream.config import format_bitrate
from stream.errors import ConfigError

_LIBRARIES = ("edvr-live", "av", "numpy", "onnxruntime", "openvino")
_CLIP_WIDTH = 30
_MODEL_WIDTH = 20

HEADER = (
    f"{'clip':<{_CLIP_WIDTH}} {'model':<{_MODEL_WIDTH}} {'target':>7} {'coded':>7}"
    f"  {'PSNR-Y':>7} {'Lanczos':>7} {'gain':>6}  {'SSIM-Y':>6} {'Lanczos':>7} {'gain':>7}"
)


def score_line(score: Score) -> str:
    """One row of the table."""
    return _line(
        score.clip,
        score.model,
        format_bitrate(score.target_bps),
        f"{score.coded_bps / 1000:.0f}k",
        [score],
    )


def mean_lines(scores: Sequence[Score]) -> list[str]:
    """For each model and bitrate a row with the means over its clips, and the worst gain."""
    lines = []
    for group in grouped(scores).values():
        first = group[0]
        line = _line(
            f"mean of {len(group)}",
            first.model,
            format_bitrate(first.target_bps),
            f"{fmean(score.coded_bps for score in group) / 1000:.0f}k",
            group,
        )
        worst = min(group, key=lambda score: score.psnr_gain_db)
        lines.append(f"{line}  worst {worst.psnr_gain_db:+.2f} dB ({worst.clip})")
    return lines


def grouped(scores: Sequence[Score]) -> dict[tuple[str, int], list[Score]]:
    """Scores by model, as asked for, and target bitrate, in the order of their appearance."""
    groups: dict[tuple[str, int], list[Score]] = {}
    for score in scores:
        groups.setdefault((score.model_path, score.target_bps), []).append(score)
    return groups


def write_json(path: Path, scores: Sequence[Score]) -> None:
    """Write everything measured, with means, machine and versions. Raises ConfigError."""
    content = {
        "machine": {
            "cpu": _cpu_name(),
            "cores": len(os.sched_getaffinity(0)),
            "system": platform.platform(),
        },
        "versions": {"python": platform.python_version()} | _library_versions(),
        "scores": [_as_json(score) for score in scores],
        "means": [
            {
                "model": group[0].model,
                "model_path": group[0].model_path,
                "target_bps": group[0].target_bps,
                "clips": len(group),
                "coded_bps": round(fmean(score.coded_bps for score in group)),
                "lanczos_psnr_y_db": _mean_of(group, "lanczos", "psnr_y_db"),
                "restored_psnr_y_db": _mean_of(group, "restored", "psnr_y_db"),
                "psnr_gain_db": round(fmean(score.psnr_gain_db for score in group), 4),
                "worst_psnr_gain_db": round(min(score.psnr_gain_db for score in group), 4),
                "lanczos_ssim_y": _mean_of(group, "lanczos", "ssim_y"),
                "restored_ssim_y": _mean_of(group, "restored", "ssim_y"),
            }
            for group in grouped(scores).values()
        ],
    }
    try:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--json {path}: {error.strerror}") from error


def _line(clip: str, model: str, target: str, coded: str, scores: Sequence[Score]) -> str:
    psnr = [_mean_of(scores, which, "psnr_y_db") for which in ("restored", "lanczos")]
    ssim = [_mean_of(scores, which, "ssim_y") for which in ("restored", "lanczos")]
    psnr_gain = fmean(score.psnr_gain_db for score in scores)
    ssim_gain = fmean(score.ssim_gain for score in scores)
    return (
        f"{clip[:_CLIP_WIDTH]:<{_CLIP_WIDTH}} {model[:_MODEL_WIDTH]:<{_MODEL_WIDTH}}"
        f" {target:>7} {coded:>7}"
        f"  {psnr[0]:7.2f} {psnr[1]:7.2f} {psnr_gain:+6.2f}"
        f"  {ssim[0]:6.4f} {ssim[1]:7.4f} {ssim_gain:+7.4f}"
    )


def _mean_of(scores: Sequence[Score], which: str, name: str) -> float:
    return round(fmean(getattr(getattr(score, which), name) for score in scores), 4)


def _as_json(score: Score) -> dict[str, object]:
    sizes = {"hr_size": str(score.hr_size), "lr_size": str(score.lr_size)}
    return asdict(score) | sizes | {"psnr_gain_db": score.psnr_gain_db}


def _library_versions() -> dict[str, str]:
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
