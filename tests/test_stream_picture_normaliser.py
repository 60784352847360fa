"""Tests of `stream.picture_normaliser` on pictures whose right answer is known."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from av.filter import Graph

from stream.errors import FrameError
from stream.frame import Colour, Frame, Size
from stream.picture_normaliser import PictureNormaliser
from tests.capture_media import QUADRANTS, grey_frame, quadrant_picture


def _normalise(picture: av.VideoFrame, sample_aspect: Fraction | None = None) -> Frame:
    normaliser = PictureNormaliser()
    frames = normaliser.push(picture, pts=77, sample_aspect=sample_aspect) + normaliser.flush()
    assert len(frames) == 1
    return frames[0]


def _corners(frame: Frame) -> list[int]:
    return [int(frame.y[row, column]) for row in (3, -4) for column in (3, -4)]


def _rgb(colour: tuple[int, int, int], size: Size) -> av.VideoFrame:
    pixels = np.empty((size.height, size.width, 3), np.uint8)
    pixels[:] = colour
    return av.VideoFrame.from_ndarray(pixels, format="rgb24")


def test_a_plain_picture_is_copied_bit_for_bit_with_its_tags() -> None:
    picture = grey_frame(quadrant_picture(64, 48))
    picture.color_primaries, picture.color_trc, picture.colorspace = 1, 13, 1
    frame = _normalise(picture)
    assert np.array_equal(frame.y, quadrant_picture(64, 48))
    assert frame.colour == Colour(primaries=1, transfer=13, matrix=1)
    assert frame.pts == 77


@pytest.mark.parametrize(
    "pixel_format",
    ["yuv420p10le", "yuv422p", "yuv422p10le", "yuv444p", "yuv444p10le", "nv12", "yuva420p"],
)
def test_more_bits_and_more_chroma_come_down_to_the_same_luma(pixel_format: str) -> None:
    frame = _normalise(grey_frame(quadrant_picture(64, 48), pixel_format))
    assert np.array_equal(frame.y, quadrant_picture(64, 48))
    assert (frame.u == 128).all()
    assert (frame.v == 128).all()


@pytest.mark.parametrize("pixel_format", ["yuvj420p", "yuvj422p", "yuvj444p", "gray"])
def test_full_range_becomes_limited(pixel_format: str) -> None:
    frame = _normalise(grey_frame(quadrant_picture(64, 48), pixel_format))
    expected = [round(16 + level * 219 / 255) for level in QUADRANTS]
    assert np.abs(np.array(_corners(frame)) - expected).max() <= 1


def test_a_range_tag_counts_where_the_format_does_not_say_it() -> None:
    picture = grey_frame(quadrant_picture(64, 48), "yuv422p")
    picture.color_range = 2
    assert abs(_corners(_normalise(picture))[0] - round(16 + 40 * 219 / 255)) <= 1


@pytest.mark.parametrize(
    ("size", "matrix", "red"),
    [
        (Size(width=64, height=48), 6, (81, 90, 240)),
        (Size(width=1280, height=720), 1, (63, 102, 240)),
    ],
)
def test_rgb_is_converted_with_the_matrix_that_it_is_tagged_with(
    size: Size, matrix: int, red: tuple[int, int, int]
) -> None:
    frame = _normalise(_rgb((255, 0, 0), size))
    middle = size.height // 4, size.width // 4
    got = (int(frame.y[middle]), int(frame.u[middle]), int(frame.v[middle]))
    assert np.abs(np.subtract(got, red)).max() <= 1
    assert frame.colour == Colour(matrix=matrix)


def test_tags_of_yuv_survive_a_conversion_and_unknown_ones_stay_unknown() -> None:
    picture = grey_frame(quadrant_picture(64, 48), "yuv422p10le")
    assert _normalise(picture).colour == Colour()
    picture.color_primaries, picture.color_trc, picture.colorspace = 9, 16, 9
    assert _normalise(picture).colour == Colour(primaries=9, transfer=16, matrix=9)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p"])
def test_odd_sizes_lose_their_last_row_and_column(pixel_format: str) -> None:
    frame = _normalise(grey_frame(quadrant_picture(63, 47), pixel_format))
    assert frame.size == Size(width=62, height=46)
    assert np.array_equal(frame.y, quadrant_picture(63, 47)[:46, :62])


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        (Fraction(4, 3), Size(width=86, height=48)),
        (Fraction(8, 9), Size(width=64, height=54)),
        (Fraction(100), Size(width=64, height=48)),
        (Fraction(0), Size(width=64, height=48)),
    ],
)
def test_samples_become_square_by_enlarging_the_short_side(aspect: Fraction, size: Size) -> None:
    frame = _normalise(grey_frame(quadrant_picture(64, 48)), aspect)
    assert frame.size == size
    assert _corners(frame) == list(QUADRANTS)


def test_one_bad_sample_is_too_small_to_be_a_picture() -> None:
    with pytest.raises(FrameError, match="too small"):
        PictureNormaliser().push(av.VideoFrame(1, 1, "yuv420p"), pts=0)


def test_sizes_and_formats_may_change_at_every_picture() -> None:
    normaliser = PictureNormaliser()
    shapes = [(64, 48, "yuv420p"), (64, 48, "yuv444p"), (32, 32, "yuv444p"), (32, 32, "yuv420p")]
    frames = []
    for number, (width, height, pixel_format) in enumerate(shapes):
        picture = grey_frame(quadrant_picture(width, height), pixel_format)
        frames += normaliser.push(picture, pts=number)
    frames += normaliser.flush()
    assert [frame.pts for frame in frames] == [0, 1, 2, 3]
    assert [frame.size.width for frame in frames] == [64, 64, 32, 32]


@pytest.mark.parametrize(("side", "delay"), [(2, 0), (48, 1)])
def test_pictures_too_small_for_the_deinterlacer_pass_as_they_are(side: int, delay: int) -> None:
    source = grey_frame(np.full((side, side), 90, np.uint8))
    graph = Graph()
    buffer = graph.add_buffer(
        width=side, height=side, format=source.format, time_base=Fraction(1, 25)
    )
    graph.link_nodes(buffer, graph.add("setfield", "tff"), graph.add("buffersink")).configure()
    normaliser = PictureNormaliser()
    frames = []
    for number in range(3):
        source.pts = number
        graph.vpush(source)
        picture = graph.vpull()
        assert picture.interlaced_frame
        frames.append(len(normaliser.push(picture, pts=number)))
    assert sum(frames) == 3 - delay
    assert len(normaliser.flush()) == delay
