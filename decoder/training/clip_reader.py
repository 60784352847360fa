"""HR clips to train on and to measure with: video files, and folders of numbered pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np

from decoder.file_reader import FileReader
from decoder.lanczos import LanczosScaler
from stream.errors import ConfigError
from stream.frame import Frame, Size
from stream.picture_normaliser import PictureNormaliser

CLIP_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".264", ".h264", ".y4m")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")

MAX_SHORT_SIDE = 720
"""Larger sources are scaled down to this: it also removes their own coding damage."""

PICTURES_RATE = Fraction(30)
"""Frames a second of a folder of pictures, which does not tell."""


def find_clips(paths: tuple[Path, ...]) -> list[Path]:
    """The clips that `paths` name: files, folders of clips, folders of numbered pictures.

    A folder that holds pictures is one clip; another one stands for all clips below it.
    Raises ConfigError when a path is missing or holds no clip.
    """
    found: list[Path] = []
    for path in paths:
        clips = list(_clips_at(path))
        if not clips:
            raise ConfigError(f"no clips at {path}" if path.exists() else f"{path} does not exist")
        found += clips
    return found


def read_clip(
    path: Path,
    *,
    multiple_of: int,
    start: int = 0,
    highest_rate: int | None = None,
    short_side: int = MAX_SHORT_SIDE,
) -> tuple[Fraction, Iterator[Frame]]:
    """Frames a second of a clip, and its frames: upright, progressive, pts counting them.

    Pictures whose short side is above `short_side` are scaled down to it by Lanczos, then the
    right and the bottom are cropped to multiples of `multiple_of` (even). `start` frames are left
    out; of a clip much faster than `highest_rate` only every second, third, … frame is taken.
    Raises ConfigError, at once or at the frame in question, when the clip cannot be read, changes
    its size, or is smaller than `multiple_of`.
    """
    if path.is_dir():
        rate, pictures = PICTURES_RATE, _pictures_of(path)
    else:
        reader = FileReader(path)
        rate, pictures = reader.frame_rate, _frames_of(reader)
    step = thinning_of(rate, highest_rate) if highest_rate else 1
    return rate / step, _fitted(islice(pictures, start, None, step), path, multiple_of, short_side)


def thinning_of(rate: Fraction, highest_rate: int) -> int:
    """Of how many frames one is kept to come near `highest_rate` frames a second; at least 1."""
    return max(1, round(rate / highest_rate))


def crop_frame(frame: Frame, size: Size) -> Frame:
    """The top left `size` (even, not larger) of a frame."""
    if frame.size == size:
        return frame
    height, width = size.height, size.width
    return replace(
        frame,
        y=np.ascontiguousarray(frame.y[:height, :width]),
        u=np.ascontiguousarray(frame.u[: height // 2, : width // 2]),
        v=np.ascontiguousarray(frame.v[: height // 2, : width // 2]),
    )


def _clips_at(path: Path) -> Iterator[Path]:
    if path.is_file() or _picture_files(path):
        yield path
    elif path.is_dir():
        for inside in sorted(path.iterdir()):
            if inside.is_dir() or inside.suffix.lower() in CLIP_SUFFIXES:
                yield from _clips_at(inside)


def _picture_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)


def _frames_of(reader: FileReader) -> Iterator[Frame]:
    with closing(reader):
        for item in reader.items():
            if isinstance(item, Frame):
                yield item


def _pictures_of(folder: Path) -> Iterator[Frame]:
    files = _picture_files(folder)
    if not files:
        raise ConfigError(f"{folder} holds no pictures")
    normaliser = PictureNormaliser()
    for index, file in enumerate(files):
        try:
            with av.open(f"file:{file}") as container:
                picture = next(container.decode(video=0))
        except (av.FFmpegError, StopIteration) as error:
            raise ConfigError(f"{file} cannot be read as a picture") from error
        yield from normaliser.push(picture, pts=index)


def _fitted(
    frames: Iterator[Frame], path: Path, multiple_of: int, short_side: int
) -> Iterator[Frame]:
    scaler: LanczosScaler | None = None
    scaled_from: Size | None = None
    for index, frame in enumerate(frames):
        if scaler is None or frame.size != scaled_from:
            if index and scaled_from is not None:
                raise ConfigError(f"{path} changes its size from {scaled_from} to {frame.size}")
            scaler, scaled_from = LanczosScaler(_limited(frame.size, short_side)), frame.size
        picture = scaler.scale(frame)
        size = picture.size
        width, height = (side // multiple_of * multiple_of for side in (size.width, size.height))
        if not width or not height:
            raise ConfigError(f"{path} is {size}, less than {multiple_of} on a side")
        # What a source said about its own coding is not about this picture.
        cropped = crop_frame(picture, Size(width=width, height=height))
        yield replace(cropped, pts=index, quantiser=None, is_keyframe=False)


def _limited(size: Size, short_side: int) -> Size:
    scale = min(1.0, short_side / min(size.width, size.height))
    return Size(width=2 * round(size.width * scale / 2), height=2 * round(size.height * scale / 2))
