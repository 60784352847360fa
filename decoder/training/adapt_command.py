"""What `edvr-model adapt` does: cut the footage, train, prove, and write a profile or none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress, TextColumn

from decoder.artefact import Artefact, find_artefact
from decoder.training.adapt import Adaptation, Budget, Look, adapt
from decoder.training.adapt_config import AdaptConfig
from decoder.training.adaptation_footage import plan_pieces
from decoder.training.adaptation_proof import Proof
from decoder.training.adaptation_windows import AdaptationWindows, coding_of, cut_windows
from decoder.training.clip_reader import find_clips
from decoder.training.delta_training import DeltaSettings
from decoder.training.machine import machine, versions
from stream.errors import ConfigError
from stream.profile_file import MAX_TEXT, ProfileInfo, encode_profile

NO_GAIN = 1
"""Exit status when the model did not get better, and nothing was written."""


def run_adapt(config: AdaptConfig) -> int:
    """Returns the exit status: 0, or `NO_GAIN`. Raises ConfigError, CodecError."""
    artefact, clips = find_artefact(config.model), find_clips(config.clips)
    with Progress(*Progress.get_default_columns(), TextColumn("{task.fields[gain]}")) as progress:
        windows = _cut(artefact, clips, config, progress)
        adaptation = _train(artefact, windows, config, progress)
    proof = adaptation.proof
    for line in proof_lines(proof):
        print(line)
    if config.json is not None:
        _write_json(config.json, artefact, config, adaptation)
    reason = proof.refusal()
    if reason is not None:
        print(f"no profile is written: {reason}")
        return NO_GAIN
    profile = encode_profile(_described(artefact, clips, config, adaptation), adaptation.coded)
    config.out.write_bytes(profile)
    print(
        f"{config.out}: {len(profile) / 1000:.1f} kB for {artefact.manifest.name}; mean gain"
        f" {proof.gain_db:+.2f} dB, least {proof.worst.gain_db:+.2f} dB"
    )
    return 0


def proof_lines(proof: Proof) -> list[str]:
    """A table of what a change brought, on footage that nothing was trained on."""
    lines = ["codec     rate  pictures     base  adapted     gain (PSNR-Y, dB)"]
    lines += [
        f"{rung.codec:<5} {rung.bitrate_bps / 1000:6g}k {rung.pictures:9} {rung.base_db:8.2f}"
        f" {rung.adapted_db:8.2f} {rung.gain_db:+8.2f}"
        for rung in proof.rungs
    ]
    return lines


def _cut(
    artefact: Artefact, clips: Sequence[Path], config: AdaptConfig, progress: Progress
) -> AdaptationWindows:
    task = progress.add_task("coding footage", total=None, gain="")
    manifest = artefact.manifest
    coding = coding_of(
        scale=manifest.scale,
        window=manifest.window,
        lookahead=manifest.lookahead,
        bitrates_bps=config.bitrates_bps,
        codecs=config.codecs,
    )

    def report(done: int, total: int) -> None:
        progress.update(task, completed=done, total=total)

    return cut_windows(plan_pieces(clips), coding, report=report)


def _train(
    artefact: Artefact, windows: AdaptationWindows, config: AdaptConfig, progress: Progress
) -> Adaptation:
    task = progress.add_task("training", total=1.0, gain="")

    def report(done: float, look: Look | None) -> None:
        gain = f"{look.gain_db:+.3f} dB over the model as it is" if look else ""
        progress.update(task, completed=done, gain=gain)

    budget = Budget(seconds=60 * config.minutes, steps=config.steps)
    return adapt(artefact, windows, DeltaSettings(), budget, report=report)


def _described(
    artefact: Artefact, clips: Sequence[Path], config: AdaptConfig, adaptation: Adaptation
) -> ProfileInfo:
    names = ", ".join(clip.name for clip in clips)
    rates = ", ".join(f"{bitrate / 1000:g}" for bitrate in config.bitrates_bps)
    trained_on = f"{adaptation.steps} steps; {' and '.join(config.codecs)} at {rates} kb/s; {names}"
    proof = adaptation.proof
    codecs = dict.fromkeys(rung.codec for rung in proof.rungs)
    gains = {"psnr_y_db": proof.gain_db, "psnr_y_least_db": proof.worst.gain_db}
    gains |= {f"psnr_y_{codec}_db": proof.of_codec(codec) for codec in codecs}
    return ProfileInfo(
        name=config.out.stem[:MAX_TEXT],
        base_model=artefact.manifest.name,
        base_version=artefact.manifest.version,
        trained_on=trained_on if len(trained_on) <= MAX_TEXT else f"{trained_on[: MAX_TEXT - 1]}…",
        licence=config.licence,
        gains={name: round(gain, 3) for name, gain in gains.items()},
    )


def _write_json(
    path: Path, artefact: Artefact, config: AdaptConfig, adaptation: Adaptation
) -> None:
    content: dict[str, Any] = {  # Any: JSON values
        "machine": machine(),
        "versions": versions() | {"torch": str(torch.__version__)},
        "model": f"{artefact.manifest.name} {artefact.manifest.version}",
        "clips": [path.name for path in find_clips(config.clips)],
        **adaptation_json(adaptation),
    }
    try:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--json {path}: {error.strerror}") from error


def adaptation_json(adaptation: Adaptation) -> dict[str, Any]:
    """Everything measured, as JSON values (Any)."""
    weights = sum(tensor.values.size for tensor in adaptation.tensors.values())
    proof = adaptation.proof
    return {
        "steps": adaptation.steps,
        "training_s": round(adaptation.training_s, 1),
        "coded_bytes": len(adaptation.coded),
        "weights": weights,
        "bits_per_weight": round(8 * len(adaptation.coded) / weights, 3) if weights else None,
        "gain_db": round(proof.gain_db, 4),
        "least_gain_db": round(proof.worst.gain_db, 4),
        "refused": proof.refusal(),
        "rungs": [{**asdict(rung), "gain_db": round(rung.gain_db, 4)} for rung in proof.rungs],
        "looks": [asdict(look) for look in adaptation.looks],
    }
