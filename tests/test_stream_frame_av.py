import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from stream.errors import FrameError
from stream.frame import Colour, Frame
from stream.frame_av import TIME_BASE, frame_from_av, frame_to_av


def _frame(*, width: int = 70, height: int = 38) -> Frame:
    random = np.random.default_rng(3)
    half = (height // 2, width // 2)
    return Frame(
        y=random.integers(16, 236, (height, width), np.uint8),
        u=random.integers(16, 241, half, np.uint8),
        v=random.integers(16, 241, half, np.uint8),
        pts=12_345,
        colour=Colour(primaries=9, transfer=16, matrix=9),
    )


def test_a_frame_survives_the_way_through_pyav() -> None:
    frame = _frame()  # rows are padded there: 70 is no multiple of 32
    picture = frame_to_av(frame)
    assert (picture.pts, picture.time_base) == (12_345, TIME_BASE)
    back = frame_from_av(picture, pts=7, quantiser=30.5, is_damaged=True, entered_ms=1.5)
    for name in "yuv":
        assert np.array_equal(getattr(back, name), getattr(frame, name))
    assert (back.pts, back.quantiser, back.is_damaged, back.entered_ms) == (7, 30.5, True, 1.5)
    assert back.colour == frame.colour


def test_the_copy_does_not_share_memory() -> None:
    frame = _frame()
    picture = frame_to_av(frame)
    back = frame_from_av(picture, pts=0)
    np.frombuffer(memoryview(picture.planes[0]), np.uint8)[:] = 0
    assert np.array_equal(back.y, frame.y)


@pytest.mark.parametrize("by_format", [True, False])
def test_full_range_becomes_limited_range(by_format: bool) -> None:
    picture = av.VideoFrame(16, 16, "yuvj420p" if by_format else "yuv420p")
    if not by_format:
        picture.color_range = ColorRange.JPEG
    ramp = np.linspace(0, 255, 16).round().astype(np.uint8)
    for plane in picture.planes:
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        rows[:, : plane.width] = ramp[: plane.width] if plane.width == 16 else ramp[::2]
    frame = frame_from_av(picture, pts=0)
    assert (frame.y.min(), frame.y.max()) == (16, 235)
    wanted = np.round(ramp.astype(float) * 219 / 255 + 16)
    assert np.array_equal(frame.y[0], wanted.astype(np.uint8))
    assert frame.u.min() == 16  # chroma 0 lies half a step below -128
    assert frame.u.max() <= 240


def test_an_odd_picture_loses_its_last_row_and_column() -> None:
    frame = frame_from_av(av.VideoFrame(33, 17, "yuv420p"), pts=0)
    assert str(frame.size) == "32x16"


@pytest.mark.parametrize("format_name", ["yuv422p", "rgb24", "nv12", "yuv420p10le"])
def test_other_pixel_formats_are_refused_by_name(format_name: str) -> None:
    with pytest.raises(FrameError, match=format_name):
        frame_from_av(av.VideoFrame(16, 16, format_name), pts=0)


def test_a_picture_too_small_for_chroma_is_refused() -> None:
    with pytest.raises(FrameError, match="too small"):
        frame_from_av(av.VideoFrame(16, 1, "yuv420p"), pts=0)


def test_a_keyframe_is_marked_as_the_codec_says_unless_told_otherwise() -> None:
    picture = frame_to_av(_frame())
    assert frame_from_av(picture, pts=0, is_keyframe=True).is_keyframe
    assert not frame_from_av(picture, pts=0, is_keyframe=False).is_keyframe
