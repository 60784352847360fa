"""A large frame restored tile by tile, where the memory is too small for all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from decoder.artefact_reference import Planes
from decoder.backends.contract import Backend, BackendConfig, Features, check_frame_size
from decoder.backends.tiling import Span, TileGrid
from stream.frame import Frame, Plane, Size


class TiledBackend:
    """Looks like a backend for the whole frame; features are those of all tiles."""

    def __init__(self, tile: Backend, grid: TileGrid, lr_size: Size, *, scale: int) -> None:
        """tile: open for frames of `grid.size`, and closed with this."""
        self._tile, self._grid, self._lr_size, self._scale = tile, grid, lr_size, scale

    @property
    def name(self) -> str:
        """See `Backend.name`."""
        return f"{self._tile.name}, {len(self._grid)} tiles"

    @property
    def config(self) -> BackendConfig:
        """See `Backend.config`."""
        return self._tile.config

    @property
    def is_half_precision(self) -> bool:
        """See `Backend.is_half_precision`."""
        return self._tile.is_half_precision

    @property
    def runs_on_cpu(self) -> bool:
        """See `Backend.runs_on_cpu`."""
        return self._tile.runs_on_cpu

    def extract(self, frame: Frame) -> Features:
        """See `Backend.extract`."""
        check_frame_size(frame, self._lr_size)
        return [self._tile.extract(_cut(frame, row, column)) for row, column in self._grid]

    def fuse(self, window: Sequence[Features]) -> Planes:
        """See `Backend.fuse`."""
        height, width = self._lr_size.height * self._scale, self._lr_size.width * self._scale
        half = (height // 2, width // 2)
        whole = (
            np.empty((height, width), np.uint8),
            np.empty(half, np.uint8),
            np.empty(half, np.uint8),
        )
        for index, (row, column) in enumerate(self._grid):
            tiles = [cast(Features, features[index]) for features in window]
            for target, part, step in zip(whole, self._tile.fuse(tiles), (1, 2, 2), strict=True):
                _paste(target, part, row, column, scale=self._scale, step=step)
        return whole

    def sibling(self) -> Backend:
        """See `Backend.sibling`."""
        return TiledBackend(self._tile.sibling(), self._grid, self._lr_size, scale=self._scale)

    def close(self) -> None:
        """See `Backend.close`."""
        self._tile.close()


def _cut(frame: Frame, row: Span, column: Span) -> Frame:
    y, u, v = (
        np.ascontiguousarray(
            plane[
                row.start // step : (row.start + row.length) // step,
                column.start // step : (column.start + column.length) // step,
            ]
        )
        for plane, step in ((frame.y, 1), (frame.u, 2), (frame.v, 2))
    )
    return replace(frame, y=y, u=u, v=v)


def _paste(target: Plane, part: Plane, row: Span, column: Span, *, scale: int, step: int) -> None:
    """step: 2 for chroma, which has half the samples."""
    rows, columns = (
        slice(span.begin * scale // step, span.end * scale // step) for span in (row, column)
    )
    top, left = (span.start * scale // step for span in (row, column))
    target[rows, columns] = part[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
