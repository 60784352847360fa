"""HR shots to train on: pieces of clips, and stills filmed by a synthetic camera."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation
from PIL import Image

from stream.errors import ConfigError
from stream.frame import Frame, Size
from stream.frame_av import frame_from_av

CLIP_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".264", ".h264")
STILL_SUFFIXES = (".jpg", ".jpeg", ".png")
MAX_HEIGHT = 720
"""Larger sources are scaled down to this: it also removes their own coding damage."""

SIZE_MULTIPLE = 32
"""Sides are cropped to this, so that every rung of it is whole macroblocks or nearly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A piece of footage. `start` is the first frame of a clip; stills start at 0."""

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
        if path.suffix.lower() in STILL_SUFFIXES:
            shots.append(Shot(path=path, start=0, frames=frames, seed=seed))
        elif path.suffix.lower() in CLIP_SUFFIXES:
            total = _count_frames(path)
            wanted = per_clip if total < 1000 else 4 * per_clip
            pieces = max(1, min(wanted, total // frames))
            step = max(frames, total // pieces)
            shots += [
                Shot(path=path, start=index * step, frames=frames, seed=seed)
                for index in range(pieces)
            ]
    if not shots:
        raise ConfigError(f"no clips or stills under {folder}")
    order = np.random.default_rng(seed).permutation(len(shots))
    return [shots[index] for index in order]


def read_shot(shot: Shot) -> tuple[list[Frame], Fraction]:
    """HR frames of a shot and their rate. Sides are multiples of SIZE_MULTIPLE."""
    if shot.path.suffix.lower() in STILL_SUFFIXES:
        return list(_film_still(shot)), Fraction(25)
    frames: list[Frame] = []
    with av.open(str(shot.path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        # Fast sources are thinned to about 30 frames/s, the rate people stream at.
        step = max(1, round(float(rate) / 30))
        for index, picture in enumerate(container.decode(stream)):
            if index < shot.start or (index - shot.start) % step:
                continue
            frames.append(_normalise(picture, len(frames)))
            if len(frames) >= shot.frames:
                break
    return frames, Fraction(rate) / step


def _count_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.frames or sum(1 for packet in container.demux(stream) if packet.size)


def _normalise(picture: av.VideoFrame, index: int) -> Frame:
    scale = min(1.0, MAX_HEIGHT / min(picture.width, picture.height))
    width, height = round(picture.width * scale), round(picture.height * scale)
    scaled = picture.reformat(
        width=width & ~1, height=height & ~1, format="yuv420p", interpolation=Interpolation.LANCZOS
    )
    return _crop(frame_from_av(scaled, pts=index))


def _crop(frame: Frame) -> Frame:
    size = Size(
        width=frame.size.width // SIZE_MULTIPLE * SIZE_MULTIPLE,
        height=frame.size.height // SIZE_MULTIPLE * SIZE_MULTIPLE,
    )
    rows, columns = slice(0, size.height), slice(0, size.width)
    half_rows, half_columns = slice(0, size.height // 2), slice(0, size.width // 2)
    return Frame(
        y=np.ascontiguousarray(frame.y[rows, columns]),
        u=np.ascontiguousarray(frame.u[half_rows, half_columns]),
        v=np.ascontiguousarray(frame.v[half_rows, half_columns]),
        pts=frame.pts,
        colour=frame.colour,
    )


def _film_still(shot: Shot) -> Iterator[Frame]:
    """A hand-held camera over a photograph: pan, zoom and roll that change smoothly, with blur."""
    digest = hashlib.sha256(f"{shot.path.name}{shot.seed}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    with Image.open(shot.path) as image:
        photo = image.convert("RGB")
    # A photograph is softer than its pixel count: halve large ones, keep small ones.
    if min(photo.size) > 1200:
        photo = photo.resize(
            (photo.width * 3 // 4, photo.height * 3 // 4), Image.Resampling.LANCZOS
        )
    margin = 0.9
    width = min(1280, int(photo.width * margin)) // SIZE_MULTIPLE * SIZE_MULTIPLE
    height = min(720, int(photo.height * margin)) // SIZE_MULTIPLE * SIZE_MULTIPLE
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
    photo: Image.Image, at: np.ndarray, angle: float, zoom: float, width: int, height: int
) -> Image.Image:
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    centre_x, centre_y = at[0] + width / 2, at[1] + height / 2
    shift_x = centre_x - cos * width / 2 + sin * height / 2
    shift_y = centre_y - sin * width / 2 - cos * height / 2
    coefficients = (cos, -sin, shift_x, sin, cos, shift_y)
    return photo.transform(
        (width, height), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
    )
