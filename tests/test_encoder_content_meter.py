from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from encoder.content_meter import ShrinkMeter
from stream.frame import Frame, Size
from tests.live_media import picture

HD = Size(width=640, height=360)
SIZES = [Size(width=160, height=90), Size(width=320, height=180), HD]


def _frame(luma: NDArray[np.generic]) -> Frame:
    return replace(picture(0, size=HD), y=luma.astype(np.uint8))


def test_a_flat_picture_loses_nothing() -> None:
    assert ShrinkMeter().measure(_frame(np.full((360, 640), 90)), sizes=SIZES, full=HD) == (0, 0, 0)


def test_detail_is_lost_and_more_of_it_in_smaller_sizes() -> None:
    noise = np.random.default_rng(1).integers(40, 200, (360, 640))
    smallest, small, full = ShrinkMeter().measure(_frame(noise), sizes=SIZES, full=HD)
    assert smallest > small > 500
    assert full == 0


def test_coarse_shapes_survive() -> None:
    rows, columns = np.mgrid[0:360, 0:640]
    waves = 128 + 60 * np.sin(columns / 40) * np.cos(rows / 40)
    assert max(ShrinkMeter().measure(_frame(waves), sizes=SIZES, full=HD)) < 1


def test_a_source_larger_than_what_is_restored_is_judged_at_that_size() -> None:
    large = replace(picture(0, size=Size(width=1280, height=720)))
    losses = ShrinkMeter().measure(large, sizes=SIZES, full=HD)
    assert losses[-1] == 0
    assert losses[0] >= losses[1]
