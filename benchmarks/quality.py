"""Picture quality by numbers, frame by frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from stream.errors import ConfigError
from stream.frame import Frame, Plane

IDENTICAL_DB = 100.0
"""What the PSNR of equal pictures counts as in a mean."""


def psnr_y(a: Plane, b: Plane) -> float:
    """PSNR of two luma planes of the same shape in dB, at most IDENTICAL_DB."""
    if a.shape != b.shape:
        raise ConfigError(f"cannot compare pictures of {a.shape} and {b.shape}")
    difference = a.astype(np.int16) - b
    error = float(np.mean(np.square(difference, dtype=np.int32)))
    return IDENTICAL_DB if error == 0 else min(IDENTICAL_DB, 10 * math.log10(255**2 / error))


def mean_psnr_y(frames: Iterable[Frame], references: Iterable[Frame]) -> float:
    """Mean over frames of the PSNR-Y of each pair; ConfigError when the counts differ."""
    values = [psnr_y(a.y, b.y) for a, b in zip(frames, references, strict=True)]
    return float(np.mean(values))


def read_y4m(path: Path) -> Iterator[Frame]:
    """Frames of a raw 8-bit 4:2:0 YUV4MPEG2 file, pts counting frames; ConfigError if it is not."""
    with path.open("rb") as file:
        header = file.readline().decode("ascii", "replace").split()
        if not header or header[0] != "YUV4MPEG2":
            raise ConfigError(f"{path} is not a YUV4MPEG2 file")
        sides = {word[0]: int(word[1:]) for word in header if word[0] in "WH"}
        width, height = sides["W"], sides["H"]
        size = width * height * 3 // 2
        index = 0
        while file.readline():
            data = np.frombuffer(file.read(size), np.uint8)
            if len(data) < size:
                return  # cut off in the middle of a frame: what is whole counts
            luma, chroma = width * height, width * height // 4
            yield Frame(
                y=data[:luma].reshape(height, width),
                u=data[luma : luma + chroma].reshape(height // 2, width // 2),
                v=data[luma + chroma :].reshape(height // 2, width // 2),
                pts=index,
            )
            index += 1
