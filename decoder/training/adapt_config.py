"""Settings of `edvr-model adapt`. Loads no torch, as all of the command line's settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from decoder.training.config import NAMES, SEVERAL, Bitrates, ModelName
from decoder.training.sent_clip import CODECS
from stream.errors import ConfigError

DEFAULT_RATES_BPS = (60_000, 110_000, 200_000, 350_000)
"""Of the ladder's rungs that live-xs restores; given for 1280x720 and scaled to other footage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptConfig:
    """Which model to adapt, to what. Raises ConfigError for what can never work."""

    model: ModelName = field(kw_only=False)
    """Name or folder of the model that receivers will have."""

    clips: Annotated[tuple[Path, ...], SEVERAL]
    """Footage of the programme, venue or camera: video files, folders of them, or folders of
    numbered pictures. At least a second; a few minutes are better."""

    out: Path
    """Profile to write; nothing is written when the model does not get better."""

    minutes: float = 20.0
    """How long to train. Coding the footage before, and proving the result after, come on top."""

    steps: int | None = None
    """Training steps, instead of --minutes."""

    bitrates_bps: Bitrates = DEFAULT_RATES_BPS
    """Rates that the footage is coded at, and the profile is proven at."""

    codecs: Annotated[tuple[str, ...], NAMES] = CODECS
    """Codecs of the sender that the footage is coded by."""

    licence: str = "not stated; ask whoever made the profile"
    """Licence of the profile, which is written into it."""

    json: Path | None = None
    """File for what was measured, with machine and versions."""

    def __post_init__(self) -> None:
        if not self.clips or not self.bitrates_bps or not self.codecs:
            raise ConfigError("adapt needs at least one clip, codec and bitrate")
        for codec in self.codecs:
            if codec not in CODECS:
                raise ConfigError(f"--codecs must be of {', '.join(CODECS)}, got {codec!r}")
        if not 0 < self.minutes < float("inf"):
            raise ConfigError(f"--minutes must be above 0, got {self.minutes}")
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"--steps must be at least 1, got {self.steps}")
        for name, path in (("--out", self.out), ("--json", self.json)):
            if path is not None and not path.parent.is_dir():
                raise ConfigError(f"{name} {path}: there is no folder {path.parent}")
