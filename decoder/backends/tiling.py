"""Where the tiles of a large frame lie: equal, overlapping, in a model's multiples. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from stream.frame import Size

OVERLAP = 64
"""LR samples that neighbours share: both restore them, and each picture is used up to the middle.

What a network sees of a border then lies 32 samples away from what is shown. Half of that was
enough for EDVR-M (random weights) and live-xs-x2 to come out the same, but for rounding; trained
alignment may reach further.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Along one side, in LR samples: a tile is at start..start+length, shown is begin..end of it.

    begin and end count from the frame's origin, and follow on from the neighbours'.
    """

    start: int
    length: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGrid:
    """Rows and columns of tiles of the same size."""

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @property
    def size(self) -> Size:
        """Of every tile."""
        return Size(width=self.columns[0].length, height=self.rows[0].length)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[tuple[Span, Span]]:
        """Row and column of each tile, row by row."""
        return ((row, column) for row in self.rows for column in self.columns)


def tile_grid(size: Size, *, most_pixels: int, multiple_of: int) -> TileGrid:
    """The fewest tiles of at most `most_pixels` LR samples, or the smallest that make sense.

    size: in multiples of `multiple_of`, in which all tiles start and end.
    """
    rows = columns = 1
    while True:
        spans = _spans(size.height, rows, multiple_of), _spans(size.width, columns, multiple_of)
        grid = TileGrid(rows=spans[0], columns=spans[1])
        if grid.size.width * grid.size.height <= most_pixels:
            return grid
        # Squarer tiles have less border; below four overlaps a tile is mostly overlap.
        can_split = [each > 4 * OVERLAP for each in (grid.size.height, grid.size.width)]
        if not any(can_split):
            return grid
        if can_split[1] and (grid.size.width >= grid.size.height or not can_split[0]):
            columns += 1
        else:
            rows += 1


def _spans(length: int, count: int, multiple_of: int) -> tuple[Span, ...]:
    if count == 1:
        return (Span(start=0, length=length, begin=0, end=length),)
    shared = OVERLAP * (count - 1)
    tile = -(-(length + shared) // (count * multiple_of)) * multiple_of
    last = length - tile
    starts = [last * i // (count - 1) // multiple_of * multiple_of for i in range(count)]
    # The middle of what two neighbours share, on an even sample: chroma has half the samples.
    middles = [(before + tile + after) // 4 * 2 for before, after in pairwise(starts)]
    edges = [0, *middles, length]
    return tuple(
        Span(start=start, length=tile, begin=edges[i], end=edges[i + 1])
        for i, start in enumerate(starts)
    )
