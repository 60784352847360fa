import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import FrameError
from stream.frame import Colour, Frame, Plane, Size

sides = st.integers(1, 4000)


def _frame(**planes: Plane) -> Frame:
    """A frame of 8x4, with some of its planes replaced."""
    half = np.zeros((2, 4), np.uint8)
    given = {"y": np.zeros((4, 8), np.uint8), "u": half, "v": half} | planes
    return Frame(
        y=given["y"],
        u=given["u"],
        v=given["v"],
        pts=5,
        colour=Colour(primaries=1),
        entered_ms=2.5,
    )


def test_a_frame_knows_its_size_and_moves_in_time_without_copying() -> None:
    frame = _frame()
    assert str(frame.size) == "8x4"
    later = frame.at(99)
    assert (later.pts, later.y is frame.y, later.colour, later.entered_ms) == (
        99,
        True,
        Colour(primaries=1),
        2.5,
    )


@pytest.mark.parametrize(
    ("name", "plane"),
    [
        ("y", np.zeros((4, 7), np.uint8)),
        ("y", np.zeros((3, 8), np.uint8)),
        ("y", np.zeros((0, 8), np.uint8)),
        ("y", np.zeros((4, 8, 1), np.uint8)),
        ("y", np.zeros((4, 8), np.uint16)),
        ("y", np.zeros((8, 4), np.uint8).T),
        ("u", np.zeros((4, 8), np.uint8)),
        ("v", np.zeros((2, 4), np.float32)),
        ("v", np.zeros((2, 8), np.uint8)[:, ::2]),
    ],
)
def test_planes_that_break_the_contract_are_refused(name: str, plane: Plane) -> None:
    with pytest.raises(FrameError):
        _frame(**{name: plane})


@pytest.mark.parametrize(("width", "height"), [(0, 2), (2, 0), (-2, 2)])
def test_a_size_is_positive(width: int, height: int) -> None:
    with pytest.raises(FrameError):
        Size(width=width, height=height)


@pytest.mark.parametrize(
    ("source", "box", "fitted"),
    [
        ("640x360", "1280x720", "1280x720"),
        ("640x480", "1280x720", "960x720"),
        ("360x640", "1280x720", "404x720"),
        ("1920x800", "640x360", "640x266"),
        ("4000x10", "640x360", "640x2"),
    ],
)
def test_fitting_keeps_the_aspect_ratio(source: str, box: str, fitted: str) -> None:
    sizes = [Size(width=int(w), height=int(h)) for w, h in (s.split("x") for s in (source, box))]
    assert str(sizes[0].fit_inside(sizes[1])) == fitted


@given(width=sides, height=sides, box_width=st.integers(1, 2000), box_height=st.integers(1, 2000))
def test_a_fitted_size_is_even_inside_an_even_box_and_touches_it(
    width: int, height: int, box_width: int, box_height: int
) -> None:
    box = Size(width=2 * box_width, height=2 * box_height)
    fitted = Size(width=width, height=height).fit_inside(box)
    assert fitted.is_even
    assert fitted.width <= box.width
    assert fitted.height <= box.height
    assert fitted.width >= box.width - 1 or fitted.height >= box.height - 1
