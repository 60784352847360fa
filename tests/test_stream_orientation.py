"""Tests of `stream.orientation`: display matrices against numpy's own turns."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream.frame import Frame
from stream.orientation import UPRIGHT, orient, read_display_matrix

ONE = 1 << 16


def _matrix(a: int, b: int, c: int, d: int) -> bytes:
    return struct.pack("=9i", a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)


def _frame() -> Frame:
    rng = np.random.default_rng(1)
    y = rng.integers(16, 235, (6, 10), np.uint8)
    u, v = rng.integers(16, 240, (2, 3, 5), np.uint8)
    return Frame(y=y, u=u, v=v, pts=9)


@pytest.mark.parametrize(
    ("entries", "turn"),
    [
        ((1, 0, 0, 1), lambda plane: plane),
        ((0, -1, 1, 0), lambda plane: np.rot90(plane, 1)),
        ((-1, 0, 0, -1), lambda plane: np.rot90(plane, 2)),
        ((0, 1, -1, 0), lambda plane: np.rot90(plane, 3)),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((0, 1, 1, 0), np.transpose),
        ((0, -1, -1, 0), lambda plane: np.rot90(plane, 2).T),
    ],
)
def test_all_eight_orientations_are_applied_to_all_planes(
    entries: tuple[int, int, int, int], turn: object
) -> None:
    assert callable(turn)
    frame = _frame()
    turned = orient(frame, read_display_matrix(_matrix(*entries)))
    for before, after in ((frame.y, turned.y), (frame.u, turned.u), (frame.v, turned.v)):
        expected: NDArray[np.uint8] = turn(before)
        assert np.array_equal(after, expected)
    assert turned.pts == 9


@given(st.binary(max_size=64))
def test_any_bytes_are_an_orientation(data: bytes) -> None:
    orient(_frame(), read_display_matrix(data))


@pytest.mark.parametrize("entries", [(0, 0, 0, 0), (1, 1, -1, 1), (1, 0, 0, 0)])
def test_what_is_no_right_angle_counts_as_upright(entries: tuple[int, int, int, int]) -> None:
    assert read_display_matrix(_matrix(*entries)) == UPRIGHT
