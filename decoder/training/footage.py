"""HR shots to train on: pieces of clips, and stills filmed by a synthetic camera."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np

from decoder.training.clip_reader import (
    CLIP_SUFFIXES,
    PICTURE_SUFFIXES,
    read_clip,
    thinning_of,
)
from decoder.training.still_camera import StillCamera
from stream.errors import ConfigError
from stream.frame import Frame

SIZE_MULTIPLE = 32
"""Sides are cropped to this, so that every rung of it is whole macroblocks or nearly."""

USUAL_RATE = 30
"""Frames a second that people stream at: what is filmed twice as fast is thinned to it."""

STILL_RATE = Fraction(25)

LONG_CLIP_FRAMES = 1000
"""A clip of more is taken for many shots, and may give four times as many pieces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A piece of footage.

    start: the first frame, as the clip counts its own; 0 for stills. frames: how many to take, at
    the usual rate.
    """

    path: Path
    start: int
    frames: int
    seed: int

    @property
    def key(self) -> str:
        """Stable name of this piece."""
        text = f"{self.path.name}:{self.start}:{self.frames}:{self.seed}"
        return f"{self.path.stem[:24]}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def find_shots(
    folder: Path, *, frames: int, per_clip: int, seed: int, leave_out: tuple[str, ...] = ()
) -> list[Shot]:
    """Every still once, every clip up to `per_clip` pieces spread over it, shuffled by seed.

    leave_out: patterns of file names, or of paths below `folder`, that are not taken.

    Long clips get no more pieces than short ones get whole, so that no source dominates; the
    cap for one very long clip is four times `per_clip`. Raises ConfigError when nothing is there.
    """
    shots: list[Shot] = []
    for path in sorted(folder.rglob("*")):
        names = path.name, path.relative_to(folder).as_posix()
        if any(fnmatchcase(name, pattern) for name in names for pattern in leave_out):
            continue
        if is_still(path):
            shots.append(Shot(path=path, start=0, frames=frames, seed=seed))
        elif path.suffix.lower() in CLIP_SUFFIXES:
            total, thinning = count_frames(path)
            wanted = per_clip if total < LONG_CLIP_FRAMES else 4 * per_clip
            pieces = max(1, min(wanted, total // frames))
            step = max(frames, total // pieces) * thinning
            shots += [
                Shot(path=path, start=index * step, frames=frames, seed=seed)
                for index in range(pieces)
            ]
    if not shots:
        raise ConfigError(f"no clips or stills under {folder}")
    order = np.random.default_rng(seed).permutation(len(shots))
    return [shots[index] for index in order]


def is_still(path: Path) -> bool:
    """Whether it is a picture, to be filmed."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def frame_multiple(scale: int) -> int:
    """What sides of a shot are multiples of, so that `scale` divides luma and chroma exactly."""
    return math.lcm(SIZE_MULTIPLE, 2 * scale)


def read_shot(shot: Shot, *, scale: int = 2) -> tuple[list[Frame], Fraction]:
    """HR frames of a shot and their rate.

    Sides are multiples of `frame_multiple`. Raises ConfigError when the source cannot be read or
    is too small.
    """
    multiple_of = frame_multiple(scale)
    if is_still(shot.path):
        camera = StillCamera(shot.path, seed=shot.seed, multiple_of=multiple_of)
        return list(camera.film(shot.frames)), STILL_RATE
    rate, frames = read_clip(
        shot.path, multiple_of=multiple_of, start=shot.start, highest_rate=USUAL_RATE
    )
    return list(islice(frames, shot.frames)), rate


def count_frames(path: Path) -> tuple[int, int]:
    """Frames of a clip at the usual rate, and how many of its own frames make one of them.

    A folder of numbered pictures has as many as it holds. Raises ConfigError for what is no video.
    """
    if path.is_dir():
        return sum(is_still(picture) for picture in path.iterdir()), 1
    try:
        with av.open(f"file:{path}") as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
            total = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
    except (av.FFmpegError, IndexError) as error:
        raise ConfigError(f"{path} is not a video that can be read") from error
    thinning = thinning_of(rate or STILL_RATE, USUAL_RATE)
    return total // thinning, thinning
