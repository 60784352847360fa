"""Finds the hard cuts of a stream, so that a keyframe can be sent where it costs least. Pure.

A frame is a cut when its luma thumbnail cannot be matched to the one before: not at any shift (so
pans and shakes are no cuts), and not by structure either (correlation ignores brightness and
contrast, so flashes, fades and exposure changes are no cuts).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.frame import CLOCK_HZ, Frame

THUMBNAIL_ROWS, THUMBNAIL_COLUMNS = 36, 64

MAX_SHIFT_ROWS, MAX_SHIFT_COLUMNS = 8, 20
"""How far a pan may go between two frames: nearly a third of the picture width."""

SURE_MATCH = 0.75
"""Correlation in place from which on no shift has to be tried."""

CUT_CORRELATION = 0.5
"""Best correlation below which a frame shows something else.

In 20 clips of very different content, frames within a shot stayed above 0.66 and the cuts between
shots lay from 0.2 to 0.33; of random pairs of different clips, 95 % lay below 0.48.
"""

MIN_DIFFERENCE = 10.0
"""Mean luma difference below which nothing is a cut: noise on a flat picture correlates to 0."""

FLAT_DEVIATION = 4.0
"""Luma deviation below which a picture has no structure to compare (black, a fade's end)."""

MIN_DISTANCE = CLOCK_HZ // 2
"""Half a second (in 1/90000 s) between cuts: strobes must not turn into a row of keyframes."""

_Thumbnail = NDArray[np.float32]


class SceneCutDetector:
    """Fed every frame in order; holds one thumbnail."""

    def __init__(self) -> None:
        self._previous: _Thumbnail | None = None
        self._last_cut_pts: int | None = None

    def push(self, frame: Frame) -> bool:
        """Whether `frame` begins another shot than the frame before; False for the first one."""
        current = _thumbnail(frame)
        previous, self._previous = self._previous, current
        if previous is None or not _shows_something_else(previous, current):
            return False
        if self._last_cut_pts is not None and frame.pts - self._last_cut_pts < MIN_DISTANCE:
            return False
        self._last_cut_pts = frame.pts
        return True


def _thumbnail(frame: Frame) -> _Thumbnail:
    """Mean luma of (36, 64) blocks, or of single samples in frames smaller than that."""
    rows = min(frame.size.height, THUMBNAIL_ROWS)
    columns = min(frame.size.width, THUMBNAIL_COLUMNS)
    block_height, block_width = frame.size.height // rows, frame.size.width // columns
    used = frame.y[: rows * block_height, : columns * block_width]
    blocks = used.reshape(rows, block_height, columns, block_width)
    every = max(1, block_height // 4)  # four lines of a block tell its mean well enough
    return np.asarray(blocks[:, ::every].mean(axis=(1, 3)), np.float32)


def _shows_something_else(previous: _Thumbnail, current: _Thumbnail) -> bool:
    if previous.shape != current.shape:
        return True
    if float(np.abs(previous - current).mean()) < MIN_DIFFERENCE:
        return False
    is_flat = previous.std() < FLAT_DEVIATION, current.std() < FLAT_DEVIATION
    if all(is_flat):
        return False  # one plain colour turns into another: a keyframe would save nothing
    if any(is_flat):
        return not is_flat[1]  # a picture after black is new; black after a picture is not worth it
    if _correlation(previous, current) > SURE_MATCH:
        return False
    return _best_correlation(previous, current) < CUT_CORRELATION


def _best_correlation(previous: _Thumbnail, current: _Thumbnail) -> float:
    """Highest correlation of the overlap over all shifts by an even number of blocks."""
    rows, columns = previous.shape
    max_rows, max_columns = min(MAX_SHIFT_ROWS, rows // 4), min(MAX_SHIFT_COLUMNS, columns // 3)
    best = -1.0
    for down in range(-max_rows, max_rows + 1, 2):
        for right in range(-max_columns, max_columns + 1, 2):
            best = max(
                best,
                _correlation(
                    previous[_overlap(-down, rows), _overlap(-right, columns)],
                    current[_overlap(down, rows), _overlap(right, columns)],
                ),
            )
    return best


def _overlap(shift: int, length: int) -> slice:
    return slice(max(0, shift), length + min(0, shift))


def _correlation(left: _Thumbnail, right: _Thumbnail) -> float:
    """Pearson correlation, -1..1; 0 where one of them has no structure."""
    left, right = left - left.mean(), right - right.mean()
    scale = float(np.sqrt((left * left).sum() * (right * right).sum()))
    return float((left * right).sum()) / scale if scale > 1e-3 else 0.0
