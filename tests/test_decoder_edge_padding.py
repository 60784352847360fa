import numpy as np
import pytest

from decoder.edge_padding import crop_planes, pad_frame, padded_size
from stream.frame import Size
from tests.tiny_artefact import textured_frame


@pytest.mark.parametrize(
    ("size", "wanted"), [((640, 360), (640, 360)), ((638, 358), (640, 360)), ((2, 2), (8, 8))]
)
def test_sizes_are_rounded_up(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    padded = padded_size(Size(width=size[0], height=size[1]), multiple_of=8)
    assert (padded.width, padded.height) == wanted


def test_the_edges_are_repeated() -> None:
    frame = textured_frame(1, width=6, height=4)
    padded = pad_frame(frame, Size(width=8, height=8))
    assert np.array_equal(padded.y[:4, :6], frame.y)
    assert np.array_equal(padded.y[:4, 7], frame.y[:, 5])
    assert np.array_equal(padded.y[7, :6], frame.y[3])
    assert np.array_equal(padded.u[:2, 3], frame.u[:, 2])
    assert np.array_equal(padded.v[3, :3], frame.v[1])


def test_a_frame_that_fits_is_not_copied() -> None:
    frame = textured_frame(1, width=8, height=8)
    assert pad_frame(frame, frame.size) is frame


def test_cropping_takes_the_padding_off_again() -> None:
    frame = textured_frame(1, width=6, height=4)
    padded = pad_frame(frame, Size(width=8, height=8))
    y, u, v = crop_planes((padded.y, padded.u, padded.v), frame.size)
    assert np.array_equal(y, frame.y)
    assert np.array_equal(u, frame.u)
    assert np.array_equal(v, frame.v)
    assert y.flags.c_contiguous
