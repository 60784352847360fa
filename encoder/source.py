"""What a source of video is, whatever it reads from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from stream.audio import AudioChunk
from stream.errors import ConfigError
from stream.frame import Frame, Size


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """What to capture, and how.

    url: see `encoder.source_url` for the forms. loop: start a file again at its end, timestamps
    going on. fps: at most this many frames a second, evenly chosen; None keeps all.
    audio: whether to read sound where there is some.
    """

    url: str
    loop: bool = False
    fps: float | None = None
    audio: bool = True

    def __post_init__(self) -> None:
        """Raises ConfigError."""
        if self.fps is not None and not (math.isfinite(self.fps) and self.fps > 0):
            raise ConfigError(f"fps must be a positive number, not {self.fps}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceInfo:
    """What a source turned out to be.

    size: of the first frame, upright, with square samples; later frames may differ.
    fps: estimate after any limit. is_live: paces itself; others need an `encoder.pacing.Pacer`.
    """

    name: str
    size: Size
    fps: float
    has_audio: bool
    is_live: bool


class Source(Protocol):
    """A running source."""

    @property
    def info(self) -> SourceInfo:
        """What it is."""
        ...

    @property
    def corrupt_packets(self) -> int:
        """Packets skipped so far because they were damaged."""
        ...

    def read(self) -> Frame | AudioChunk | None:
        """Wait for the next item; None at the end and after `close`. From one thread at a time.

        Video and audio share one clock that starts at 0. pts of frames strictly increase, with the
        source's own (variable) spacing. Files come as fast as they are read, in order of time.
        """
        ...

    def close(self) -> None:
        """Stop; callable from any thread, twice too. A waiting `read` returns at once."""
        ...
