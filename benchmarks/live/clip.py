"""The clip that is streamed and compared with: a file, or the generated scene."""

from __future__ import annotations

from pathlib import Path

from encoder.capture import open_source
from encoder.source import SourceConfig
from stream.errors import ConfigError
from stream.frame import Frame


def read_clip(text: str, *, seconds: float) -> tuple[str, list[Frame], float]:
    """A clip's name, its first `seconds` as frames, and its frame rate.

    Raises ConfigError when it cannot be read or changes its size.
    """
    source = open_source(SourceConfig(url=text, audio=False))
    frames: list[Frame] = []
    limit = round(seconds * source.info.fps)
    try:
        while len(frames) < limit and (item := source.read()) is not None:
            if isinstance(item, Frame):
                frames.append(item)
    finally:
        source.close()
    if len({frame.size for frame in frames}) != 1:
        raise ConfigError(f"{text} must have pictures of one size")
    name = "test scene" if text.startswith("test:") else Path(text).name
    return name, frames, source.info.fps
