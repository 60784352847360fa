"""Where a restored picture differs most from a classical upscaler's: places to look at."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stream.frame import Frame
from stream.frame_av import frame_to_av

CROP_SIDE = 128
"""Samples of the HR picture along a side of a crop."""

_BLOCK = 64
"""Changes are compared by the mean of blocks of this many samples a side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """A place of a clip in three pictures: Lanczos's, the model's and the original's.

    why: "change" where the two differ most, "harm" where the model is farther from the original
    by most. pictures: RGB uint8 (3, side, side, 3). frame: counted from 0. x, y: its corner.
    gain: mean squared error that the model takes away there (negative: adds), in levels squared.
    """

    why: str
    frame: int
    x: int
    y: int
    gain: float
    pictures: NDArray[np.uint8]


class ChangeFinder:
    """Watches the pictures of a clip and keeps the crop of each kind.

    first: the frame from which on to look, so that a stream's coarse start does not hide the rest.
    """

    def __init__(self, *, first: int = 0) -> None:
        self._first = first
        self._found: dict[str, tuple[float, Crop]] = {}

    def push(self, index: int, lanczos: Frame, restored: Frame, original: Frame) -> None:
        """The frame `index` in three pictures of one size, at least two samples a side."""
        if index < self._first:
            return
        change = restored.y.astype(np.int16) - lanczos.y
        error = np.square(restored.y.astype(np.int32) - original.y)
        gained = np.square(lanczos.y.astype(np.int32) - original.y) - error
        blocks = {"change": _block_means(np.abs(change)), "harm": _block_means(-gained)}
        for why, values in blocks.items():
            row, column = np.unravel_index(int(values.argmax()), values.shape)
            score = float(values[row, column])
            if score > 0 and score > self._found.get(why, (0.0,))[0]:
                centre = (int(row) * _BLOCK + _BLOCK // 2, int(column) * _BLOCK + _BLOCK // 2)
                rows, columns = (
                    _span(at, length) for at, length in zip(centre, change.shape, strict=True)
                )
                crop = Crop(
                    why=why,
                    frame=index,
                    x=columns.start,
                    y=rows.start,
                    gain=float(gained[rows, columns].mean()),
                    pictures=np.stack(
                        [_rgb(frame, rows, columns) for frame in (lanczos, restored, original)]
                    ),
                )
                self._found[why] = score, crop

    @property
    def crops(self) -> list[Crop]:
        """What was found; nothing where the pictures are equal."""
        return [crop for _, crop in self._found.values()]


def pack_crops(crops: list[Crop]) -> bytes:
    """For a file."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for crop in crops:
        arrays[f"{crop.why}_at"] = np.array([crop.frame, crop.x, crop.y])
        arrays[f"{crop.why}_gain"] = np.array(crop.gain)
        arrays[f"{crop.why}_pictures"] = crop.pictures
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def unpack_crops(content: bytes) -> list[Crop]:
    """What `pack_crops` made; raises ValueError, KeyError or zipfile.BadZipFile for all else."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        crops = []
        for name in arrays:
            if name.endswith("_at"):
                why = name.removesuffix("_at")
                frame, x, y = (int(value) for value in arrays[name])
                crops.append(
                    Crop(
                        why=why,
                        frame=frame,
                        x=x,
                        y=y,
                        gain=float(arrays[f"{why}_gain"]),
                        pictures=arrays[f"{why}_pictures"],
                    )
                )
        return crops


def _block_means(values: NDArray[np.signedinteger]) -> NDArray[np.float64]:
    """Means of whole blocks; of a smaller picture one mean of all."""
    height, width = values.shape
    if height < _BLOCK or width < _BLOCK:
        return np.array([[float(values.mean())]])
    whole = values[: height // _BLOCK * _BLOCK, : width // _BLOCK * _BLOCK]
    means: NDArray[np.float64] = whole.reshape(
        height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK
    ).mean(axis=(1, 3))
    return means


def _span(centre: int, length: int) -> slice:
    """An even span of at most CROP_SIDE samples around `centre`."""
    side = min(CROP_SIDE, length // 2 * 2)
    start = max(0, min(centre - side // 2, length - side)) // 2 * 2
    return slice(start, start + side)


def _rgb(frame: Frame, rows: slice, columns: slice) -> NDArray[np.uint8]:
    half_rows, half_columns = (slice(s.start // 2, s.stop // 2) for s in (rows, columns))
    part = replace(
        frame,
        y=np.ascontiguousarray(frame.y[rows, columns]),
        u=np.ascontiguousarray(frame.u[half_rows, half_columns]),
        v=np.ascontiguousarray(frame.v[half_rows, half_columns]),
    )
    return frame_to_av(part).reformat(format="rgb24").to_ndarray().astype(np.uint8)
