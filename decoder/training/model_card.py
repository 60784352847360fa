"""A model's card: what it is for, what it was trained on, what it gains, and where it does not.

Mitchell et al., "Model Cards for Model Reporting" (arXiv 1810.03993). The figures are those of an
evaluation that is kept as JSON, so a card can be written anew, and checked, at any time.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decoder.artefact import Artefact
from decoder.backends.graph_cost import count_cost
from decoder.training.engine import WANTED_HR, default_lr_size
from decoder.training.picture_quality import METRICS
from stream.config import format_bitrate
from stream.errors import ConfigError

CARD_FILE = "card.md"

_SOURCES = Path(__file__).parent / "footage_sources.toml"
_CODECS = {"h264": "H.264", "av1": "AV1"}
_DIGITS = {"ssim_y": 4}
_UNITS = {"psnr_y_db": " dB", "flicker_db": " dB"}

_LIMITS = (
    "It enlarges what a codec has left. Where nothing is left, at the lowest rates, it gains next"
    " to nothing, and it never invents: letters that the codec has smeared stay smeared, and a face"
    " gets no features that did not travel.",
    "Of faces, text, sport and drawn animation it has seen little; `edvr-model adapt` makes a"
    " profile of your own footage, and refuses where that does not help.",
    "Trained on what this project's sender emits. Pictures of other encoders, with grain, logos or"
    " sharpening that the sender's downscaler would have removed, may gain less.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The part about one model of what `edvr-model eval --json` has written.

    means, scores, bd_rates: its rows. worst: by metric. Any: JSON.
    """

    means: Sequence[Mapping[str, Any]]
    scores: Sequence[Mapping[str, Any]]
    bd_rates: Sequence[Mapping[str, Any]]
    worst: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, path: Path, artefact: Artefact) -> Evaluation:
        """Raises ConfigError when `path` cannot be read, or is not about these weights."""
        name, version = artefact.manifest.name, artefact.manifest.version
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            parts = {
                part: [row for row in kept[part] if row["model_path"] == name]
                for part in ("means", "scores", "bd_rates")
            }
            versions = {str(row["version"]) for row in parts["scores"]}
            worst = kept["worst"].get(name, {})
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ConfigError(f"{path} is not what edvr-model eval --json writes") from error
        if versions != {version}:
            found = f"of version {', '.join(sorted(versions))}" if versions else "not in it"
            raise ConfigError(f"{path}: {name} version {version} is wanted, but it is {found}")
        return cls(**parts, worst=worst)


def model_card(artefact: Artefact, evaluation: Evaluation) -> str:
    """The card, in Markdown.

    Raises BackendUnavailable or ModelMismatch when the graphs cannot be read.
    """
    manifest = artefact.manifest
    lr_size = default_lr_size(artefact)
    cost = count_cost(artefact, lr_size)
    names = " and ".join(_CODECS.get(codec, codec) for codec in manifest.codecs)
    past = manifest.window - 1 - manifest.lookahead
    lines = [
        f"# {manifest.name}, version {manifest.version}",
        "",
        f"EDVR (arXiv 1905.02716) of the tier `{manifest.tier}`: makes of {names} video, coded for"
        f" a thin uplink, a picture with sides {manifest.scale} times as long, live.",
        "",
        "| | |",
        "|---|---|",
        f"| window | {manifest.window} frames: {past} before the restored one, {manifest.lookahead}"
        " after it |",
        f"| takes | {', '.join(manifest.inputs)}; {manifest.colour}; sides in multiples of"
        f" {manifest.multiple_of} |",
        f"| cost | {cost.frame_macs / 1e9:.2f} GMAC a frame at {lr_size} (to {WANTED_HR}) |",
        f"| licence | {manifest.licence} |",
        "",
        "## Trained on",
        "",
        f"{manifest.trained_on}.",
        "",
        "| footage | from | its licence |",
        "|---|---|---|",
        *(f"| {each['what']} | {each['from']} | {each['licence']} |" for each in _sources()),
        "",
        "## Gains",
        "",
        *_gain_lines(evaluation),
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in _LIMITS),
    ]
    return "\n".join(lines) + "\n"


def _sources() -> list[dict[str, str]]:
    with _SOURCES.open("rb") as file:
        found: list[dict[str, str]] = tomllib.load(file)["source"]
    return found


def _gain_lines(evaluation: Evaluation) -> list[str]:
    metrics = [
        metric
        for metric in METRICS
        if all(row["gain"][metric] is not None for row in evaluation.means)
    ]
    clips = sorted({str(row["clip"]) for row in evaluation.scores})
    lines = [
        f"Over Lanczos at the same bits, means over {len(clips)} clips that it was not trained on"
        f" ({', '.join(clips)}):",
        "",
        "| codec | rate | " + " | ".join(METRICS[metric] for metric in metrics) + " |",
        "|" + "---|" * (2 + len(metrics)),
    ]
    for row in evaluation.means:
        cells = [_CODECS.get(row["codec"], row["codec"]), format_bitrate(row["target_bps"])]
        cells += [_shown(metric, row["gain"][metric]) for metric in metrics]
        lines.append(f"| {' | '.join(cells)} |")
    rates = [
        f"{row['mean_percent']:+.1f} % ({_CODECS.get(row['codec'], row['codec'])},"
        f" {METRICS[row['metric']]})"
        for row in evaluation.bd_rates
        if row["mean_percent"] is not None
    ]
    if rates:
        lines += ["", f"Bits for the quality that Lanczos gives (BD-rate): {', '.join(rates)}."]
    worst = [
        f"{METRICS[metric]} {_shown(metric, found['gain'])} ({found['clip']},"
        f" {_CODECS.get(found['codec'], found['codec'])}, {format_bitrate(found['target_bps'])})"
        for metric, found in evaluation.worst.items()
        if metric in metrics
    ]
    if worst:
        lines += ["", f"The least of all clips and rates: {', '.join(worst)}."]
    return lines


def _shown(metric: str, gain: float) -> str:
    return f"{gain:+.{_DIGITS.get(metric, 2)}f}{_UNITS.get(metric, '')}"
