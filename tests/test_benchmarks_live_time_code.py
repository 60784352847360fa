from dataclasses import replace

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.live.time_code import (
    MAX_NUMBER,
    draw_number,
    measured_rows,
    read_number,
    strip_rows,
)
from decoder.lanczos import LanczosScaler
from encoder.downscale import downscale
from encoder.video_encoder import H264Settings, open_video_encoder
from stream.errors import ConfigError
from stream.frame import CLOCK_HZ, Frame, Size
from stream.frame_av import frame_from_av
from tests.live_media import picture

HD = Size(width=1280, height=720)


@given(number=st.integers(0, MAX_NUMBER), shrink=st.sampled_from([1, 2, 4, 8]))
def test_a_drawn_number_is_read_at_any_size(number: int, shrink: int) -> None:
    size = Size(width=1280 // shrink, height=720 // shrink // 2 * 2)
    assert read_number(draw_number(picture(3, size=size), number).y) == number


def test_numbers_survive_shrinking_coding_at_few_bits_and_enlarging() -> None:
    lr_size = Size(width=320, height=180)
    encoder = open_video_encoder(
        H264Settings(size=lr_size, target_bitrate_bps=60_000, frame_rate=25)
    )
    decoder, scaler = av.CodecContext.create("h264", "r"), LanczosScaler(HD)
    assert isinstance(decoder, av.VideoCodecContext)
    pictures: list[av.VideoFrame] = []
    for number in range(1000, 1012):
        frame = draw_number(picture(number, size=HD, pts=number * CLOCK_HZ // 25), number)
        unit = encoder.encode(downscale(frame, size=lr_size))
        pictures += decoder.decode(av.Packet(unit.data))
    pictures += decoder.decode(None)
    encoder.close()
    numbers = [read_number(scaler.scale(frame_from_av(each, pts=0)).y) for each in pictures]
    assert numbers == list(range(1000, 1012))


def test_from_one_number_to_the_next_two_bars_change() -> None:
    for number in (0, 1, 2, 1023, 4095):
        before, after = (draw_number(picture(0, size=HD), n).y[0] for n in (number, number + 1))
        bars = HD.width // 14
        assert np.count_nonzero(before != after) == pytest.approx(2 * bars, abs=4)


def test_the_measured_rows_are_those_that_the_code_leaves_alone() -> None:
    plain = picture(1, size=HD)
    drawn = draw_number(plain, 77)
    rows = measured_rows(HD.height)
    assert rows.start > strip_rows(HD.height)
    assert (drawn.y[rows] == plain.y[rows]).all()


@pytest.mark.parametrize("damage", ["gray", "one bar"])
def test_what_cannot_be_read_for_sure_is_not_read(damage: str) -> None:
    luma = draw_number(picture(0, size=HD), 5).y.copy()
    rows = strip_rows(HD.height)
    if damage == "gray":
        luma[:rows] = 128
    else:  # the parity does not fit any more
        luma[:rows, : 1280 // 14] = 255 - luma[0, 0]
    assert read_number(luma) is None


def test_a_number_too_large_for_the_bars_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not fit"):
        draw_number(picture(0, size=HD), MAX_NUMBER + 1)


def test_drawing_leaves_the_picture_it_was_given_alone() -> None:
    plain: Frame = picture(1, size=HD)
    before = replace(plain, y=plain.y.copy())
    draw_number(plain, 9)
    assert (plain.y == before.y).all()
