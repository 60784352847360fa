"""Settings of `edvr-model`, command by command; the command line is made from them.

Loads no torch: the command line must parse, and say what is missing, without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token

from decoder.backends.contract import BackendName
from decoder.training.sent_clip import CODECS
from stream.config import format_bitrate, parse_bitrate
from stream.errors import ConfigError
from stream.flag_types import PictureSizeOrAuto

DEFAULT_BITRATES_BPS = (60_000, 110_000, 210_000, 400_000)
DEFAULT_FRAMES = 60
"""Frames measured of each clip, to be quick: a stream's start, coarse until the rate control has
settled, weighs much in them."""


def _parse_bitrates(_: object, tokens: Sequence[Token]) -> tuple[int, ...]:
    return tuple(parse_bitrate(token.value) for token in tokens)


def _show_bitrates(value: object) -> str:
    assert isinstance(value, tuple)
    return " ".join(format_bitrate(bitrate_bps) for bitrate_bps in value)


SEVERAL = Parameter(consume_multiple=(1, None), negative=(), show_default=False)
NAMES = Parameter(consume_multiple=(1, None), negative=(), metavar="CODEC")

Bitrates = Annotated[
    tuple[int, ...],
    Parameter(
        name="--bitrates",
        converter=_parse_bitrates,
        n_tokens=1,
        accepts_keys=False,
        consume_multiple=(1, None),
        negative=(),
        metavar="RATE",
        show_default=_show_bitrates,
    ),
]

ModelName = Annotated[str, Parameter(name="--model", metavar="MODEL")]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What to train, on what, and where to. Raises ConfigError for what can never work."""

    recipe: Annotated[str, Parameter(name="--config", metavar="CONFIG")] = field(kw_only=False)
    """Recipe file, or the name of a shipped recipe."""

    data: Path | None = None
    """Folder of clips and stills to train on; not needed when --corpus is complete."""

    out: Path | None = None
    """Folder for checkpoint and logs; runs/NAME unless given."""

    corpus: Path | None = None
    """Folder for the coded patches, kept between runs; OUT/corpus unless given."""

    resume: Annotated[bool, Parameter(negative=())] = False
    """Go on from the checkpoint in --out, if there is one."""

    start: Path | None = None
    """Begin with the weights of this checkpoint, for a second stage."""

    steps: int | None = None
    """Training steps, instead of the recipe's."""

    jobs: int = 2
    """Shots that are coded at the same time while the corpus is cut."""

    def __post_init__(self) -> None:
        if self.data is None and self.corpus is None:
            raise ConfigError("--data DIR is needed: clips and stills to train on")
        if self.data is not None and not self.data.is_dir():
            raise ConfigError(f"--data {self.data} is not a folder")
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"--steps must be at least 1, got {self.steps}")
        if self.jobs < 1:
            raise ConfigError(f"--jobs must be at least 1, got {self.jobs}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """Which checkpoint of a training becomes which artefact."""

    checkpoint: Annotated[Path, Parameter(name="--checkpoint")] = field(kw_only=False)
    """A training's checkpoint.pt."""

    out: Annotated[Path, Parameter(name="--out", metavar="OUT_DIR")] = field(kw_only=False)
    """Model folder to write."""

    version: str = "1"
    """Version to write into it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AloneConfig:
    """Which live model is to restore each frame alone."""

    model: Annotated[str, Parameter(name="--model")] = field(kw_only=False)
    """Name of a live model, or its folder."""

    out: Annotated[Path, Parameter(name="--out", metavar="OUT_DIR")] = field(kw_only=False)
    """Model folder to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantiseConfig:
    """Which model of single frames gets a form in 8 bits."""

    model: Annotated[str, Parameter(name="--model")] = field(kw_only=False)
    """Name of the model, or its folder, into which the form is written."""

    clips: Annotated[tuple[Path, ...], SEVERAL]
    """Footage that shows what convolutions see, and on which the loss is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportConfig:
    """Which published EDVR checkpoint becomes which artefact."""

    checkpoint: Annotated[Path, Parameter(name="--checkpoint", metavar="CKPT")] = field(
        kw_only=False
    )
    """An EDVR checkpoint with the names of the authors, of BasicSR or of mmagic."""

    out: Annotated[Path, Parameter(name="--out", metavar="OUT_DIR")] = field(kw_only=False)
    """Model folder to write."""

    name: str | None = None
    """Name of the model; that of OUT_DIR unless given."""

    version: str = "1"
    """Version to write into it."""

    licence: str = "not stated; ask the publisher of the checkpoint"
    """Licence of the weights."""

    center_frame: int | None = None
    """Place of the restored frame in the window, from 0; the middle unless given."""

    @property
    def model_name(self) -> str:
        """What the model will be called."""
        return self.name or self.out.resolve().name


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalConfig:
    """What to measure, on what. Raises ConfigError for values that can never work."""

    models: Annotated[tuple[str, ...], Parameter(name="--models", metavar="MODEL", negative=())] = (
        field(kw_only=False)
    )
    """Names or folders of models."""

    clips: Annotated[tuple[Path, ...], SEVERAL]
    """Video files, folders of them, or folders of numbered pictures (30 frames a second)."""

    bitrates_bps: Bitrates = DEFAULT_BITRATES_BPS
    """Rates that the clips are coded at; BD-rate needs at least three."""

    codecs: Annotated[tuple[str, ...], NAMES] = CODECS
    """Codecs of the sender that the clips are coded by."""

    seconds: float | None = None
    """How much of each clip; its first 60 frames unless given."""

    lr_size: PictureSizeOrAuto = None
    """Size that travels; the clip's size over the model's scale unless given."""

    backend: BackendName = "openvino"
    """Inference library; they differ in the last bits, so auto is not for comparing."""

    vmaf: bool = True
    """Measure VMAF and VMAF-NEG too, which takes longest."""

    json: Path | None = None
    """File for the results, with machine and versions."""

    sheets: Path | None = None
    """Folder for pictures of the places that a model changes most, one sheet a clip and codec."""

    cache: Path = Path("runs/eval")
    """Folder where measurements are kept, so that an interrupted run goes on."""

    def __post_init__(self) -> None:
        if not self.models or not self.clips or not self.bitrates_bps or not self.codecs:
            raise ConfigError("eval needs at least one model, clip, codec and bitrate")
        for codec in self.codecs:
            if codec not in CODECS:
                raise ConfigError(f"--codecs must be of {', '.join(CODECS)}, got {codec!r}")
        if self.seconds is not None and not 0 < self.seconds < float("inf"):
            raise ConfigError(f"--seconds must be above 0, got {self.seconds}")
        if self.json is not None and not self.json.parent.is_dir():
            raise ConfigError(f"--json {self.json}: there is no folder {self.json.parent}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CardConfig:
    """Which model gets a card, and by which figures."""

    model: ModelName = field(kw_only=False)
    """Name or folder of a model; its card.md is written."""

    results: Path
    """What `edvr-model eval --json` has written about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InfoConfig:
    """Which model to describe."""

    model: ModelName | None = field(default=None, kw_only=False)
    """Name or folder of a model; all installed ones are listed when not given."""

    lr_size: PictureSizeOrAuto = None
    """Size that travels, for the cost; what makes 1280x720 unless given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildConfig:
    """Which model to compile for which inference library."""

    model: ModelName = field(kw_only=False)
    """Name or folder of a model."""

    target: str = "openvino"
    """Inference library: openvino, onnxruntime, tensorrt-rtx or tensorrt."""

    lr_size: PictureSizeOrAuto = None
    """Size that travels; what makes 1280x720 unless given."""

    capability: str | None = None
    """For tensorrt-rtx: only this kind of GPU, for example SM89; all kinds unless given."""
