"""Settings of restoration, shared by `edvr-receive` and `edvr-restore`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from decoder.backends.contract import BackendName, check_threads
from decoder.model_choice import AUTO
from stream.errors import ConfigError
from stream.flag_types import PictureSize
from stream.frame import Size

DEFAULT_SIZE = Size(width=1280, height=720)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorerConfig:
    """How to restore. Raises ConfigError for values that can never work."""

    size: PictureSize = DEFAULT_SIZE
    """Box that the restored picture fills, keeping its aspect ratio; even sides."""

    model: str = AUTO
    """auto, lanczos (no network), the name of a model or the path of a model folder."""

    backend: BackendName = "auto"
    """Inference library; auto takes the one that is fastest here."""

    lookahead: int | None = None
    """Future frames to wait for; less lowers delay and quality. None = as the model was trained."""

    threads: int = 0
    """Threads for the network; 0 = one per core."""

    def __post_init__(self) -> None:
        if not self.size.is_even:
            raise ConfigError(f"size must have even sides, got {self.size}")
        if self.backend not in get_args(BackendName):
            known = ", ".join(get_args(BackendName))
            raise ConfigError(f"unknown backend {self.backend!r}; known: {known}")
        if self.lookahead is not None and self.lookahead < 0:
            raise ConfigError(f"lookahead must be 0 or more, got {self.lookahead}")
        if not self.model:
            raise ConfigError("model must be auto, lanczos, a name or a path")
        check_threads(self.threads)
