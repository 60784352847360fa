"""A recipe: everything that makes one set of weights, read from a small TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decoder.edvr.live import LiveConfig
from decoder.training.corpus import CorpusConfig
from stream.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how fast to train.

    Learning rates fall from `learning_rate` to zero along a cosine after a linear warm-up.
    crop: HR side of what is shown of a patch.
    offset_rate: share of it that layers predicting offsets get (training collapses otherwise).
    chroma_weight: weight of the two chroma planes' loss beside luma's.
    blind_ratio: share of windows shown without their quantiser. still_ratio: share whose
    neighbours are the reference itself, as at stream starts and scene cuts.
    """

    steps: int
    batch: int = 16
    crop: int = 128
    learning_rate: float = 1e-3
    warm_up_steps: int = 300
    offset_rate: float = 0.1
    chroma_weight: float = 0.25
    blind_ratio: float = 0.1
    still_ratio: float = 0.05
    average_decay: float = 0.999
    clip_norm: float = 1.0
    validate_every: int = 500
    seed: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or not 0 < self.learning_rate < 1:
            raise ConfigError("steps and batch must be positive, learning_rate between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One set of weights: name, network, corpus and schedule."""

    name: str
    tier: str
    network: LiveConfig
    corpus: CorpusConfig
    schedule: Schedule


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; ConfigError names the file and the field that is wrong."""
    try:
        with path.open("rb") as file:
            data: dict[str, Any] = tomllib.load(file)  # Any: TOML values, checked below
    except OSError as error:
        raise ConfigError(f"cannot read recipe {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"recipe {path} is not TOML: {error}") from error
    try:
        network = LiveConfig(**data["network"])
        corpus = dict(data["corpus"], scale=network.scale, window=network.window)
        corpus["bitrates_bps"] = tuple(corpus["bitrates_bps"])
        return Recipe(
            name=data["name"],
            tier=data["tier"],
            network=network,
            corpus=CorpusConfig(**corpus),
            schedule=Schedule(**data["schedule"]),
        )
    except KeyError as error:
        raise ConfigError(f"recipe {path} lacks {error}") from error
    except TypeError as error:
        raise ConfigError(f"recipe {path}: {error}") from error
