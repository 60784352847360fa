"""Finds hard cuts on small luma pictures, so that no window reaches across one. Pure.

A missed cut feeds a network frames that have nothing to do with each other; a cut seen where
there is none only repeats a frame in one or two windows. So doubtful cases count as cuts, but pans
and fast motion, which are what a window is for, must not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.frame import Frame, Plane

Thumbnail = NDArray[np.float32]

_COLUMNS, _ROWS = 16, 9
"""Cells are 40 samples wide at 640x360: most motion between two frames stays inside one."""

_SAMPLES_PER_CELL = 5
"""Taken in each direction for a cell's mean: 3600 samples a frame, 0.07 ms."""

_CUT_LEVELS = 18.0
"""Mean change of a cell, in 8-bit levels, that no pan in the clips tried reached."""

_CUT_LEVELS_AT_KEYFRAME = 9.0
"""Half as much is enough on a keyframe: encoders place them on the cuts that they see."""

_ABOVE_MOTION = 3.0
"""And it must stand out from the change between the frames before by this factor."""

_MOTION_MEMORY = 0.7
"""Weight of the past in the running mean of that change: about three frames."""


def thumbnail(luma: Plane) -> Thumbnail:
    """Mean luma of a grid of cells: uint8 (H, W) -> float32 (9, 16), any picture size."""
    rows = _sample_positions(luma.shape[0], _ROWS)
    columns = _sample_positions(luma.shape[1], _COLUMNS)
    samples = luma[np.ix_(rows, columns)].astype(np.float32)
    cells = samples.reshape(_ROWS, _SAMPLES_PER_CELL, _COLUMNS, _SAMPLES_PER_CELL)
    return np.asarray(cells.mean(axis=(1, 3)), np.float32)


def _sample_positions(length: int, cells: int) -> NDArray[np.intp]:
    count = cells * _SAMPLES_PER_CELL
    return ((2 * np.arange(count) + 1) * length // (2 * count)).astype(np.intp)


class SceneCutDetector:
    """Tells for each frame, in order, whether a new scene starts with it."""

    def __init__(self) -> None:
        self._previous: Thumbnail | None = None
        self._motion_levels = 0.0

    def is_cut(self, frame: Frame) -> bool:
        """Whether `frame` shows another scene than the one before it; never for the first."""
        current = thumbnail(frame.y)
        previous, self._previous = self._previous, current
        if previous is None:
            return False
        change = float(np.mean(np.abs(current - previous)))
        limit = _CUT_LEVELS_AT_KEYFRAME if frame.is_keyframe else _CUT_LEVELS
        is_cut = change > max(limit, _ABOVE_MOTION * self._motion_levels)
        # A cut counts as motion too, so that a whip pan is taken for two cuts at most.
        self._motion_levels = _MOTION_MEMORY * self._motion_levels + (1 - _MOTION_MEMORY) * change
        return is_cut

    def forget(self) -> None:
        """Start afresh: the next frame is a first one."""
        self._previous = None
        self._motion_levels = 0.0
