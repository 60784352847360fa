from dataclasses import replace

import numpy as np
import pytest

from encoder.downscale import Downscaler, downscale
from stream.errors import FrameError
from stream.frame import Colour, Frame, Size

HALF = Size(width=160, height=96)


def _frame(luma: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Frame:
    half = (luma.shape[0] // 2, luma.shape[1] // 2)
    return Frame(
        y=luma.astype(np.uint8),
        u=np.full(half, 90, np.uint8),
        v=np.full(half, 160, np.uint8),
        pts=7,
        colour=Colour(primaries=1, transfer=1, matrix=1),
        entered_ms=3.5,
    )


def _ramp(height: int, width: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.tile(np.linspace(30, 220, width), (height, 1))


def test_a_smooth_picture_keeps_its_levels_and_its_place() -> None:
    small = downscale(_frame(_ramp(192, 320)), size=HALF)
    wanted = _ramp(192, 320).reshape(96, 2, 160, 2).mean(axis=(1, 3))
    assert np.abs(small.y[4:-4, 4:-4] - wanted[4:-4, 4:-4]).max() <= 2
    assert set(np.unique(small.u)) == {90}
    assert set(np.unique(small.v)) == {160}


def test_detail_that_the_small_grid_cannot_carry_is_removed_not_folded() -> None:
    columns = np.arange(640)
    stripes = np.tile(128 + 80 * np.sin(np.pi * 0.9 * columns), (384, 1))
    small = downscale(_frame(stripes), size=HALF)
    assert np.abs(small.y[:, 8:-8].astype(int) - 128).max() <= 6


def test_time_colour_and_entry_are_kept() -> None:
    frame = _frame(_ramp(192, 320))
    small = downscale(frame, size=HALF)
    assert (small.pts, small.colour, small.entered_ms) == (7, frame.colour, 3.5)


def test_a_frame_of_the_wanted_size_is_returned_as_it_is() -> None:
    frame = _frame(_ramp(96, 160))
    assert downscale(frame, size=HALF) is frame


@pytest.mark.parametrize("size", ["161x96", "160x97", "322x96", "160x194"])
def test_odd_and_larger_sizes_are_refused(size: str) -> None:
    width, height = map(int, size.split("x"))
    with pytest.raises(FrameError):
        downscale(_frame(_ramp(192, 320)), size=Size(width=width, height=height))


def test_one_downscaler_takes_frames_of_changing_sizes() -> None:
    downscaler = Downscaler()
    for height, width in ((192, 320), (96, 200), (240, 320), (192, 320)):
        frame = replace(_frame(_ramp(height, width)), pts=height)
        small = downscaler.downscale(frame, size=Size(width=100, height=50))
        assert (str(small.size), small.pts) == ("100x50", height)
        assert np.array_equal(small.y, downscale(frame, size=small.size).y)
