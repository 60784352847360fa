"""HR shots to train on: pieces of clips, and stills filmed by a synthetic camera."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from decoder.training.clip_reader import (
    CLIP_SUFFIXES,
    PICTURE_SUFFIXES,
    read_clip,
    thinning_of,
)
from stream.errors import ConfigError
from stream.frame import Frame
from stream.frame_av import frame_from_av

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


def find_shots(folder: Path, *, frames: int, per_clip: int, seed: int) -> list[Shot]:
    """Every still once, every clip up to `per_clip` pieces spread over it, shuffled by seed.

    Long clips get no more pieces than short ones get whole, so that no source dominates; the
    cap for one very long clip is four times `per_clip`. Raises ConfigError when nothing is there.
    """
    shots: list[Shot] = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PICTURE_SUFFIXES:
            shots.append(Shot(path=path, start=0, frames=frames, seed=seed))
        elif path.suffix.lower() in CLIP_SUFFIXES:
            total, thinning = _count_frames(path)
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


def read_shot(shot: Shot, *, scale: int = 2) -> tuple[list[Frame], Fraction]:
    """HR frames of a shot and their rate.

    Sides are multiples of SIZE_MULTIPLE, and of twice `scale`, so that `scale` divides luma and
    chroma exactly. Raises ConfigError when the source cannot be read or is too small.
    """
    multiple_of = math.lcm(SIZE_MULTIPLE, 2 * scale)
    if shot.path.suffix.lower() in PICTURE_SUFFIXES:
        return list(_film_still(shot, multiple_of)), STILL_RATE
    rate, frames = read_clip(
        shot.path, multiple_of=multiple_of, start=shot.start, highest_rate=USUAL_RATE
    )
    return list(islice(frames, shot.frames)), rate


def _count_frames(path: Path) -> tuple[int, int]:
    """Frames of a clip at the usual rate, and how many of its own frames make one of them."""
    try:
        with av.open(f"file:{path}") as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
            total = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
    except (av.FFmpegError, IndexError) as error:
        raise ConfigError(f"{path} is not a video that can be read") from error
    thinning = thinning_of(rate or STILL_RATE, USUAL_RATE)
    return total // thinning, thinning


def _film_still(shot: Shot, multiple_of: int) -> Iterator[Frame]:
    """A hand-held camera over a photograph: pan, zoom and roll that change smoothly, with blur."""
    digest = hashlib.sha256(f"{shot.path.name}{shot.seed}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    try:
        with Image.open(shot.path) as image:
            photo = image.convert("RGB")
    except OSError as error:  # Pillow's own errors are a kind of it
        raise ConfigError(f"{shot.path} is not a picture that can be read") from error
    # A photograph is softer than its pixel count: shrink large ones, keep small ones.
    if min(photo.size) > 1200:
        photo = photo.resize(
            (photo.width * 3 // 4, photo.height * 3 // 4), Image.Resampling.LANCZOS
        )
    margin = 0.9
    width = min(1280, int(photo.width * margin)) // multiple_of * multiple_of
    height = min(720, int(photo.height * margin)) // multiple_of * multiple_of
    if not width or not height:
        raise ConfigError(f"{shot.path} is too small: {photo.width}x{photo.height}")
    slack = np.array([photo.width - width, photo.height - height], float)
    position = slack * rng.uniform(0.1, 0.9, 2)
    velocity = rng.normal(0, rng.choice([0.3, 1.5, 5.0]), 2)
    shake, angle, roll = rng.uniform(0, 0.6), 0.0, rng.normal(0, 0.0004)
    zoom, zoom_rate = 1.0, rng.normal(0, 0.0006)
    blurs = rng.random() < 0.4
    for index in range(shot.frames):
        exposures = 3 if blurs else 1
        total = np.zeros((height, width, 3), np.float32)
        for part in range(exposures):
            seen = position + velocity * (0.5 * part / exposures)
            total += np.asarray(_view(photo, seen, angle, zoom, width, height), np.float32)
        picture = av.VideoFrame.from_ndarray(
            np.round(total / exposures).astype(np.uint8), format="rgb24"
        )
        yield frame_from_av(picture.reformat(format="yuv420p"), pts=index)
        velocity = velocity + rng.normal(0, 0.05 + shake, 2) * 0.3
        for axis in range(2):  # turn round at the edges of the photograph
            if not 0 <= position[axis] + velocity[axis] <= slack[axis]:
                velocity[axis] *= -1
        position = np.clip(position + velocity, 0, slack)
        angle, zoom = angle + roll, float(np.clip(zoom + zoom_rate, 0.93, 1.0))


def _view(
    photo: Image.Image, at: NDArray[np.float64], angle: float, zoom: float, width: int, height: int
) -> Image.Image:
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    centre_x, centre_y = at[0] + width / 2, at[1] + height / 2
    shift_x = centre_x - cos * width / 2 + sin * height / 2
    shift_y = centre_y - sin * width / 2 - cos * height / 2
    coefficients = (cos, -sin, shift_x, sin, cos, shift_y)
    return photo.transform(
        (width, height), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
    )
