"""The clip that is streamed and compared with: a file, a folder, or the generated scene."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from decoder.training.clip_reader import read_clip as read_pictures
from encoder.capture import open_source
from encoder.source import SourceConfig
from stream.errors import ConfigError
from stream.frame import Frame


def read_clip(text: str, *, seconds: float) -> tuple[str, list[Frame], float]:
    """A clip's name, its first `seconds` as frames, and its frame rate.

    Raises ConfigError when it cannot be read or changes its size.
    """
    if Path(text).is_dir():
        rate, pictures = read_pictures(Path(text), multiple_of=2)
        limit = max(1, round(seconds * rate))
        return Path(text).name, list(islice(pictures, limit)), float(rate)
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
