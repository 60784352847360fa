import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.lanczos import LanczosScaler
from stream.errors import FrameError
from stream.frame import Colour, Frame, Size
from tests.tiny_artefact import textured_frame


def _smooth_frame(width: int, height: int) -> Frame:
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    half_x, half_y = x[: height // 2, : width // 2] * 2, y[: height // 2, : width // 2] * 2
    return Frame(
        y=(100 + 60 * np.sin(x / width * 6) * np.cos(y / height * 4)).round().astype(np.uint8),
        u=(128 + 40 * np.sin(half_x / width * 5)).round().astype(np.uint8),
        v=(128 + 40 * np.cos(half_y / height * 5)).round().astype(np.uint8),
        pts=90,
        colour=Colour(primaries=1, transfer=1, matrix=1),
        entered_ms=5.0,
    )


def test_a_smooth_picture_enlarged_is_the_same_picture_drawn_larger() -> None:
    larger = LanczosScaler(Size(width=320, height=180)).scale(_smooth_frame(160, 90))
    drawn = _smooth_frame(320, 180)
    for plane, wanted in ((larger.y, drawn.y), (larger.u, drawn.u), (larger.v, drawn.v)):
        inner = (slice(6, -6), slice(6, -6))
        assert np.abs(plane[inner].astype(int) - wanted[inner]).max() <= 2


def test_everything_but_the_samples_is_carried_along() -> None:
    frame = _smooth_frame(64, 48)
    scaled = LanczosScaler(Size(width=96, height=72)).scale(frame)
    assert (scaled.pts, scaled.colour, scaled.entered_ms) == (90, frame.colour, 5.0)


def test_the_same_size_is_the_same_frame() -> None:
    frame = _smooth_frame(64, 48)
    assert LanczosScaler(Size(width=64, height=48)).scale(frame) is frame


def test_a_flat_picture_stays_flat_at_both_ends_of_the_range() -> None:
    for luma, chroma in ((16, 16), (235, 240)):
        frame = Frame(
            y=np.full((20, 36), luma, np.uint8),
            u=np.full((10, 18), chroma, np.uint8),
            v=np.full((10, 18), chroma, np.uint8),
            pts=0,
        )
        scaled = LanczosScaler(Size(width=90, height=50)).scale(frame)
        assert np.unique(scaled.y).tolist() == [luma]
        assert np.unique(scaled.u).tolist() == [chroma]


@settings(max_examples=60, deadline=None)
@given(*[st.integers(1, 40) for _ in range(4)])
def test_any_even_size_becomes_any_even_size(
    width: int, height: int, new_width: int, new_height: int
) -> None:
    size = Size(width=2 * new_width, height=2 * new_height)
    frame = textured_frame(1, width=2 * width, height=2 * height)
    assert LanczosScaler(size).scale(frame).size == size


def test_one_scaler_follows_a_changing_input_size() -> None:
    scaler = LanczosScaler(Size(width=64, height=36))
    for width in (32, 48, 32):
        assert scaler.scale(_smooth_frame(width, 24)).size == Size(width=64, height=36)


def test_odd_sizes_are_refused() -> None:
    with pytest.raises(FrameError, match="even"):
        LanczosScaler(Size(width=63, height=36))
