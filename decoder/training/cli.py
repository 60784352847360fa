"""`edvr-model`: train, adapt, export, measure, import, describe and compile models.

Imports no torch: a machine that only receives can still list, describe and compile models. What a
command needs is imported inside it.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from decoder.training.adapt_config import AdaptConfig
from decoder.training.bd_rate import MIN_POINTS
from decoder.training.config import (
    AloneConfig,
    BuildConfig,
    CardConfig,
    EvalConfig,
    ExportConfig,
    ImportConfig,
    InfoConfig,
    QuantiseConfig,
    TrainConfig,
)
from stream.command_line import make_app, run_command
from stream.errors import ConfigError

if TYPE_CHECKING:
    from rich.progress import Progress

    from decoder.artefact import Artefact
    from decoder.training.corpus import CorpusConfig
    from decoder.training.evaluate import Score

app = make_app("edvr-model", "Train, adapt, export, measure, import, describe and compile models.")

TRAINING_LIBRARIES = ("torch", "onnx", "onnxscript", "tensorboard", "PIL")
"""What the extra `train` installs."""


@app.command
def train(config: Annotated[TrainConfig, Parameter(name="*")]) -> None:
    """Train a recipe: cut the corpus, as far as it is not there, then train on it."""
    _need_training_libraries()
    from decoder.training.recipe import find_recipe, read_recipe
    from decoder.training.trainer import Trainer

    recipe = read_recipe(find_recipe(config.recipe))
    if config.steps is not None:
        recipe = replace(recipe, schedule=replace(recipe.schedule, steps=config.steps))
    out = config.out or Path("runs") / recipe.name
    corpus = config.corpus or out / "corpus"
    if (out / "checkpoint.pt").exists() and not config.resume:
        raise ConfigError(
            f"{out} holds a checkpoint: --resume goes on from it, another --out starts anew"
        )
    if config.data is not None:
        _cut_corpus(recipe.corpus, config.data, corpus, config.jobs)
    trainer = Trainer(recipe, corpus, out, resume=config.resume, start=config.start)
    trainer.run()
    print(f"{trainer.step} steps done; to publish: edvr-model export {trainer.checkpoint} OUT_DIR")


@app.command
def adapt(config: Annotated[AdaptConfig, Parameter(name="*")]) -> int:
    """Adapt a model to footage of a programme: write a profile, if it is better for it.

    Exit status 1: the model did not get better, and nothing was written.
    """
    _need_training_libraries()
    from decoder.training.adapt_command import run_adapt

    return run_adapt(config)


@app.command
def export(config: Annotated[ExportConfig, Parameter(name="*")]) -> None:
    """Make a model folder of a checkpoint that `train` wrote."""
    _need_training_libraries()
    from decoder.training.publish import publish

    _say_published(publish(config.checkpoint, config.out, version=config.version))


@app.command
def alone(config: Annotated[AloneConfig, Parameter(name="*")]) -> None:
    """Make a model folder of a live model's weights that restores each frame alone, and faster."""
    _need_training_libraries()
    from decoder.artefact import find_artefact
    from decoder.training.publish_alone import publish_alone

    _say_published(publish_alone(find_artefact(config.model), config.out))


@app.command
def quantise(config: Annotated[QuantiseConfig, Parameter(name="*")]) -> None:
    """Add a form in 8 bits to a model of single frames, unless it loses over 0.05 dB by that."""
    _need_training_libraries()
    from decoder.training.publish_int8 import publish_int8

    loss_db = publish_int8(config.model, config.clips)
    print(f"8 bits lose {loss_db:.3f} dB PSNR-Y")


@app.command(name="import")
def import_(config: Annotated[ImportConfig, Parameter(name="*")]) -> None:
    """Make a model folder of a published EDVR checkpoint (the authors', BasicSR's, mmagic's)."""
    _need_training_libraries()
    from decoder.training.publish import publish_imported

    artefact = publish_imported(
        config.checkpoint,
        config.out,
        name=config.model_name,
        version=config.version,
        licence=config.licence,
        center_frame=config.center_frame,
    )
    _say_published(artefact)


@app.command(name="eval")
def eval_(config: Annotated[EvalConfig, Parameter(name="*")]) -> None:
    """Measure models against Lanczos on clips coded as the sender codes them."""
    from decoder.training import evaluation_report as table
    from decoder.training.evaluate import evaluate
    from decoder.training.ffmpeg_comparison import judge_version

    _log_warnings()
    if len(config.bitrates_bps) >= MIN_POINTS:
        _need("bjontegaard", "bench")
    if config.sheets is not None:
        _need("PIL", "train")
    scores: list[Score] = []
    print(table.HEADER, flush=True)
    with _measuring_bar() as bar:
        task = bar.add_task("measuring", total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        for score in evaluate(config, report):
            last = scores[-1] if scores else None
            is_new = last is None or _rung_of(last) != _rung_of(score)
            scores.append(score)
            for line in table.score_lines(score, classical=is_new):
                print(line, flush=True)
    print()
    has_curves = len(config.bitrates_bps) >= MIN_POINTS
    for line in table.mean_lines(scores) + (table.bd_lines(scores) if has_curves else []):
        print(line)
    if config.json is not None:
        judge = judge_version() if config.vmaf else None
        table.write_json(config.json, scores, judge=judge)
    if config.sheets is not None:
        from decoder.training.crop_sheet import write_sheets

        for path in write_sheets(config.sheets, scores):
            print(path)


@app.command
def info(config: Annotated[InfoConfig | None, Parameter(name="*")] = None) -> None:
    """Describe a model, or a profile: what it takes, what it was trained on, what it costs."""
    from decoder.artefact import find_artefact, list_artefacts
    from decoder.edge_padding import padded_size
    from decoder.profile_source import PROFILE_ENDING, profile_lines
    from decoder.training.engine import default_lr_size
    from decoder.training.model_info import describe, summary

    config = config or InfoConfig()
    if config.model is None:
        for artefact in list_artefacts():
            print(summary(artefact))
        return
    if config.model.endswith(PROFILE_ENDING):
        print("\n".join(profile_lines(config.model)))
        return
    artefact = find_artefact(config.model)
    size = config.lr_size or default_lr_size(artefact)
    size = padded_size(size, multiple_of=artefact.manifest.multiple_of)
    print("\n".join(describe(artefact, size)))


@app.command
def card(config: Annotated[CardConfig, Parameter(name="*")]) -> None:
    """Write a model's card: what it was trained on, what it gains, where it does not."""
    from decoder.artefact import find_artefact
    from decoder.training.model_card import CARD_FILE, Evaluation, model_card

    artefact = find_artefact(config.model)
    path = artefact.folder / CARD_FILE
    path.write_text(model_card(artefact, Evaluation.read(config.results, artefact)), "utf-8")
    print(path)


@app.command
def build(config: Annotated[BuildConfig, Parameter(name="*")]) -> None:
    """Compile a model for this machine, check its picture, and time it.

    Engines for tensorrt-rtx are built ahead, without a GPU, and checked where they are opened.
    """
    from decoder.artefact import find_artefact
    from decoder.training.engine import AHEAD_TARGETS, build_ahead, build_engine, default_lr_size

    artefact = find_artefact(config.model)
    if config.target in AHEAD_TARGETS:
        size = config.lr_size or default_lr_size(artefact)
        ahead = build_ahead(artefact, config.target, size, capability=config.capability)
        print(
            f"{artefact.manifest.name} on {config.target}: built for {ahead.lr_size} in"
            f" {ahead.build_s:.1f} s, {ahead.engine_bytes / 1e6:.1f} MB, kept; checked when opened"
        )
        return
    report = build_engine(artefact, config.target, config.lr_size or default_lr_size(artefact))
    print(
        f"{artefact.manifest.name} on {report.backend}: compiled for {report.lr_size} and checked"
        f" in {report.open_s:.1f} s (done at every start, nothing is kept);"
        f" within {report.off.max_levels} levels of its reference;"
        f" {report.frame_ms:.1f} ms a frame"
    )


def _measuring_bar() -> Progress:
    """On standard error, so that the table can be kept; rows go above it where both are seen."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(
        *Progress.get_default_columns(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),
    )


def _rung_of(score: Score) -> tuple[object, ...]:
    return score.clip, score.codec, score.lr_size, score.target_bps


def _need(library: str, extra: str) -> None:
    if find_spec(library) is None:
        raise ConfigError(f"this needs {library}, not installed: pip install 'edvr-live[{extra}]'")


def _need_training_libraries() -> None:
    missing = [name for name in TRAINING_LIBRARIES if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"this needs {', '.join(missing)}, not installed: pip install 'edvr-live[train]'"
        )
    _log_warnings()
    for noisy in ("torch.onnx", "onnx_ir", "onnxscript"):  # about what they leave as it is
        logging.getLogger(noisy).setLevel(logging.ERROR)


def _log_warnings() -> None:
    logging.basicConfig(level=logging.WARNING, format="edvr-model: %(message)s")


def _cut_corpus(config: CorpusConfig, data: Path, folder: Path, jobs: int) -> None:
    from rich.progress import Progress

    from decoder.training.corpus import build_corpus

    with Progress() as progress:
        task = progress.add_task(f"corpus {folder}", total=None)

        def report(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        build_corpus(data, folder, config, jobs=jobs, report=report)


def _say_published(artefact: Artefact) -> None:
    """Prove the new model on every inference library that is installed, and say how it did."""
    from decoder.training.engine import TARGETS, build_engine

    print(f"{artefact.folder}: {artefact.manifest.name}, version {artefact.manifest.version}")
    size = artefact.reference().size
    for target in TARGETS:
        report = build_engine(artefact, target, size)
        print(f"  {report.backend}: within {report.off.max_levels} levels of torch")


def main() -> int:
    """Run the command; returns its exit status."""
    return run_command(app)


if __name__ == "__main__":
    raise SystemExit(main())
