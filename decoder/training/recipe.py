"""A recipe: everything that makes one set of weights, read from a small TOML file."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from decoder.edvr.live_config import LiveConfig
from decoder.edvr.network import EdvrConfig
from decoder.training.corpus import CorpusConfig
from decoder.training.detail import SMALLEST_SIDE
from decoder.training.losses import LossName
from decoder.training.networks import FAMILIES, NetworkConfig
from stream.errors import ConfigError

_Section = TypeVar("_Section", LiveConfig, EdvrConfig, CorpusConfig, "Schedule")

RECIPES_FOLDER = Path(__file__).parent / "configs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how fast to train.

    Learning rates fall from `learning_rate` to zero along a cosine after a linear warm-up.
    crop: HR side of what is shown of a patch.
    offset_rate: share of it that layers predicting offsets get (training collapses otherwise).
    trunk_rate: share of it for what restores a frame alone, which a second stage starts with.
    chroma_weight: weight of the two chroma planes' loss beside luma's.
    detail_weight: weight of the detail that is lost (`decoder.training.detail`), for a last stage:
    it brings contrast back at some cost in PSNR.
    align_weight: weight at first of the alignment task (`decoder.training.alignment`); it falls
    with the learning rate.
    neighbours: False shows the reference alone. It is several times faster, and far the most that a
    live network learns it learns from there: a first stage, for a second to start from.
    blind_ratio: share of windows shown without their quantiser. still_ratio: share whose
    neighbours are the reference itself, as at stream starts and scene cuts.
    """

    steps: int
    batch: int = 16
    crop: int = 128
    learning_rate: float = 1e-3
    warm_up_steps: int = 300
    offset_rate: float = 0.1
    trunk_rate: float = 1.0
    chroma_weight: float = 0.1
    detail_weight: float = 0.0
    align_weight: float = 0.0
    neighbours: bool = True
    blind_ratio: float = 0.1
    still_ratio: float = 0.05
    average_decay: float = 0.999
    clip_norm: float = 5.0
    loss: LossName = "psnr"
    validate_every: int = 500
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "validate_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("blind_ratio", "still_ratio", "average_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        for name in ("learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:  # also refuses what is not a number
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.loss not in get_args(LossName):
            raise ConfigError(f"loss must be one of {get_args(LossName)}, got {self.loss!r}")
        if not 0 <= self.detail_weight < math.inf:
            raise ConfigError(f"detail_weight must not be negative, got {self.detail_weight}")
        if self.detail_weight and self.crop < SMALLEST_SIDE:
            raise ConfigError(
                f"detail_weight wants a crop of {SMALLEST_SIDE} at least, got {self.crop}"
            )
        if self.warm_up_steps < 0:
            raise ConfigError(f"warm_up_steps must not be negative, got {self.warm_up_steps}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One set of weights: name, network, corpus and schedule.

    Raises ConfigError when the schedule's crop does not fit the corpus and the network.
    """

    name: str
    tier: str
    network: NetworkConfig
    corpus: CorpusConfig
    schedule: Schedule

    def __post_init__(self) -> None:
        if not self.schedule.neighbours and not isinstance(self.network, LiveConfig):
            raise ConfigError("neighbours = false is for the live family")
        crop, unit = self.schedule.crop, self.network.scale * self.network.multiple_of
        if crop % unit or not 0 < crop <= self.corpus.patch:
            raise ConfigError(
                f"crop {crop} must be a multiple of {unit} and at most the corpus's patch,"
                f" {self.corpus.patch}"
            )


def find_recipe(name_or_path: str) -> Path:
    """The file of this path, or the shipped recipe of this name.

    Raises ConfigError, naming the shipped ones, when there is neither.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    shipped = {found.stem: found for found in sorted(RECIPES_FOLDER.glob("*.toml"))}
    try:
        return shipped[name_or_path.removesuffix(".toml")]
    except KeyError:
        raise ConfigError(
            f"there is no recipe {name_or_path!r}; shipped: {', '.join(shipped)}, or the path of"
            " a recipe file"
        ) from None


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; ConfigError names the file and the field that is wrong."""
    try:
        with path.open("rb") as file:
            data: dict[str, Any] = tomllib.load(file)  # Any: TOML values, checked below
    except OSError as error:
        raise ConfigError(f"cannot read recipe {path}: {error.strerror}") from error
    except ValueError as error:  # not TOML, or not even UTF-8
        raise ConfigError(f"recipe {path} is not TOML: {error}") from error
    try:
        network = _network(data)
        corpus = _table(data, "corpus")
        of_network = {name: getattr(network, name) for name in ("scale", "window", "lookahead")}
        return Recipe(
            name=_text(data, "name"),
            tier=_text(data, "tier"),
            network=network,
            corpus=_section(CorpusConfig, {"corpus": corpus | of_network}, "corpus"),
            schedule=_section(Schedule, data, "schedule"),
        )
    except ConfigError as error:
        raise ConfigError(f"recipe {path}: {error}") from error


def _network(data: Mapping[str, Any]) -> NetworkConfig:
    """[network], of the family that it names."""
    table = dict(_table(data, "network"))
    family = table.pop("family", "live")
    if family not in FAMILIES:
        raise ConfigError(f"[network] family must be of {', '.join(FAMILIES)}, got {family!r}")
    if FAMILIES[family] is LiveConfig:
        return _section(LiveConfig, {"network": table}, "network")
    return _section(EdvrConfig, {"network": table}, "network")


def _table(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = data.get(name)
    if not isinstance(table, dict):
        raise ConfigError(f"it lacks [{name}]")
    return table


def _text(data: Mapping[str, Any], name: str) -> str:
    text = data.get(name)
    if not isinstance(text, str) or not text:
        raise ConfigError(f"it lacks {name}")
    return text


def _section(kind: type[_Section], data: Mapping[str, Any], name: str) -> _Section:
    """The dataclass `kind` from the table [name], each value of the type its field has."""
    values = dict(_table(data, name))
    hints = get_type_hints(kind)
    for field, value in values.items():
        if field not in hints:
            raise ConfigError(f"[{name}] has no {field}; known: {', '.join(hints)}")
        wanted = hints[field]
        if get_origin(wanted) is tuple and isinstance(value, list | tuple):
            is_right = all(type(item) is get_args(wanted)[0] for item in value)
            values[field] = tuple(value)
        elif get_origin(wanted) is Literal:  # which of them, the section itself checks
            is_right = isinstance(value, str)
        elif wanted == int | None:
            is_right = type(value) is int
        else:
            is_right = type(value) is wanted or (wanted is float and type(value) is int)
        if not is_right:
            raise ConfigError(f"[{name}] {field} = {value!r} has the wrong type")
    try:
        return kind(**values)
    except TypeError as error:  # all names are known and all types right: one is missing
        raise ConfigError(f"[{name}]: {error}") from error
