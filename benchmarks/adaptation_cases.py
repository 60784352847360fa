"""What `benchmarks.adaptation` adapts to and tests on: pieces of clips, and cuts between them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from decoder.training.clip_reader import read_clip
from decoder.training.footage import USUAL_RATE, frame_multiple
from decoder.training.raw_clip import RawClip
from stream.errors import ConfigError
from stream.frame import Frame

CASES_FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The frames of a clip from one second to another."""

    clip: str
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A programme: what a model is adapted on, and what comes later.

    alternate_s: how long each clip of a list is shown before the next; 0 leaves them apart.
    """

    name: str
    about: str
    adapt: tuple[Part, ...]
    test: tuple[Part, ...]
    alternate_s: float = 0.0


def read_cases(path: Path = CASES_FILE) -> list[Case]:
    """Raises ConfigError for a file that is not made of cases."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))["case"]
        return [_case(table) for table in tables]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} does not hold cases: {error}") from error


def write_parts(
    parts: tuple[Part, ...], data: Path, folder: Path, *, alternate_s: float, scale: int
) -> list[RawClip]:
    """The parts as raw clips in `folder`: one each, or one of all when they alternate.

    Raises ConfigError when a clip cannot be read, or clips of other sizes or rates alternate.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = [_frames(part, data, scale) for part in parts]
    if not alternate_s:
        return [
            RawClip.write(folder / f"{index}-{Path(part.clip).stem}.y4m", frames, rate)
            for index, (part, (rate, frames)) in enumerate(zip(parts, found, strict=True))
        ]
    rate = found[0][0]
    if len({(rate, frames[0].size) for rate, frames in found}) > 1:
        raise ConfigError("clips that alternate must have one size and rate")
    cut = _alternate([frames for _, frames in found], max(1, round(alternate_s * rate)))
    return [RawClip.write(folder / "cut.y4m", cut, rate)]


def _case(table: Mapping[str, Any]) -> Case:  # Any: TOML values
    lists = {name: tuple(Part(**part) for part in table[name]) for name in ("adapt", "test")}
    return Case(**{**table, **lists})


def _frames(part: Part, data: Path, scale: int) -> tuple[Fraction, list[Frame]]:
    rate, frames = read_clip(
        data / part.clip, multiple_of=frame_multiple(scale), highest_rate=USUAL_RATE
    )
    first, last = (round(seconds * rate) for seconds in (part.from_s, part.to_s))
    found = list(islice(frames, first, last))
    if not found:
        raise ConfigError(f"{part.clip} has nothing from {part.from_s:g} s on")
    return rate, found


def _alternate(clips: list[list[Frame]], every: int) -> Iterator[Frame]:
    """Like cameras that run on while another is shown."""
    for index in range(min(map(len, clips))):
        yield replace(clips[index // every % len(clips)][index], pts=index)
