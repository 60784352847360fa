"""What every codec of the sender promises; what only one does is tested beside that one."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

import numpy as np
import pytest

from encoder.av1_encoder import AV1Encoder
from encoder.h264_encoder import H264Encoder
from encoder.video_encoder import (
    MAX_BITRATE_BPS,
    MIN_BITRATE_BPS,
    AV1Settings,
    H264Settings,
    VideoEncoder,
    open_video_encoder,
)
from stream.errors import ConfigError, FrameError
from stream.frame import CLOCK_HZ, Colour, Frame, Size
from tests.coded_video import CUT, busiest_second, decoded, keyframes, moving_frames
from tests.live_media import picture

STEP = CLOCK_HZ // 25
SMALL = Size(width=160, height=96)

Settings: TypeAlias = Callable[..., H264Settings] | Callable[..., AV1Settings]
CODECS: dict[str, Settings] = {
    "h264": partial(H264Settings, preset="ultrafast"),
    "libdav1d": partial(AV1Settings, preset="10"),
}
"""By the decoder of PyAV that reads them."""


@pytest.fixture(params=list(CODECS))
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def encoder(library: str) -> Iterator[VideoEncoder]:
    settings = CODECS[library](size=SMALL, target_bitrate_bps=1_000_000)
    encoder = open_video_encoder(settings)
    yield encoder
    encoder.close()


def test_settings_open_the_encoder_that_belongs_to_them() -> None:
    for library, kind in (("h264", H264Encoder), ("libdav1d", AV1Encoder)):
        encoder = open_video_encoder(CODECS[library](size=SMALL, target_bitrate_bps=100_000))
        assert isinstance(encoder, kind)
        encoder.close()


@pytest.mark.parametrize("bitrate_bps", [MIN_BITRATE_BPS, MAX_BITRATE_BPS])
def test_both_ends_of_the_bitrate_range_give_an_encoder_that_works(
    library: str, bitrate_bps: int
) -> None:
    encoder = open_video_encoder(CODECS[library](size=SMALL, target_bitrate_bps=bitrate_bps))
    coded = encoder.encode(picture(0))
    encoder.close()
    assert coded.is_keyframe
    assert len(decoded([coded], library=library)) == 1


@pytest.mark.parametrize("bitrate_bps", [0, MIN_BITRATE_BPS - 1, MAX_BITRATE_BPS + 1])
def test_a_bitrate_out_of_range_is_refused_with_the_range(library: str, bitrate_bps: int) -> None:
    with pytest.raises(ConfigError, match=f"{bitrate_bps} b/s is out of range: choose 30k to 5M"):
        CODECS[library](size=SMALL, target_bitrate_bps=bitrate_bps)


def test_odd_sizes_and_frame_rates_that_cannot_be_are_refused(library: str) -> None:
    with pytest.raises(ConfigError, match="even"):
        CODECS[library](size=Size(width=160, height=97), target_bitrate_bps=100_000)
    for frame_rate in (0.0, 241.0):
        with pytest.raises(ConfigError, match="frame rate"):
            CODECS[library](size=SMALL, target_bitrate_bps=100_000, frame_rate=frame_rate)


def test_the_rate_is_clamped_to_what_a_codec_can_do(encoder: VideoEncoder) -> None:
    encoder.target_bitrate_bps = 1
    assert encoder.target_bitrate_bps == MIN_BITRATE_BPS
    encoder.target_bitrate_bps = 10**9
    assert encoder.target_bitrate_bps == MAX_BITRATE_BPS


def test_keyframes_come_only_when_asked_for(encoder: VideoEncoder) -> None:
    coded = [encoder.encode(picture(index), force_keyframe=index == 70) for index in range(150)]
    assert keyframes(coded) == [0, 70]


def test_a_faster_preset_costs_one_keyframe_and_no_second_above_the_rate(library: str) -> None:
    size = Size(width=320, height=180)
    settings = {"h264": H264Settings, "libdav1d": AV1Settings}[library]
    encoder = open_video_encoder(settings(size=size, target_bitrate_bps=200_000))
    coded = []
    for index, frame in enumerate(moving_frames(size)[:CUT]):
        if index == 51:  # H.264 opens its codec again after two seconds at the earliest
            encoder.be_faster(2)
        coded.append(encoder.encode(frame))
    encoder.close()
    assert len(decoded(coded, library=library)) == CUT
    assert keyframes(coded)[0] == 0
    assert len(keyframes(coded)) == 2
    assert busiest_second(coded) <= 1.15 * 200_000


def test_each_frame_comes_out_at_once_and_decodes_to_what_went_in(
    encoder: VideoEncoder, library: str
) -> None:
    coded = [encoder.encode(picture(index)) for index in range(30)]
    assert [each.pts for each in coded] == [index * STEP for index in range(30)]
    shown = decoded(coded, library=library)
    assert len(shown) == len(coded)
    for index, each in enumerate(shown):
        luma = np.asarray(each.to_ndarray()[: SMALL.height], np.float64)
        assert np.abs(luma - picture(index).y).mean() < 4


def test_the_colour_tags_of_the_frames_are_in_the_stream_from_the_first_on(
    encoder: VideoEncoder, library: str
) -> None:
    frame = picture(0)
    colour = Colour(primaries=9, transfer=16, matrix=9)
    tagged = Frame(y=frame.y, u=frame.u, v=frame.v, pts=0, colour=colour)
    (shown,) = decoded([encoder.encode(tagged)], library=library)
    assert (shown.color_primaries, shown.color_trc, shown.colorspace) == (9, 16, 9)


def test_frames_of_another_size_or_out_of_order_are_refused(encoder: VideoEncoder) -> None:
    encoder.encode(picture(1))
    with pytest.raises(FrameError, match="opened for 160x96 got 64x48"):
        encoder.encode(picture(2, size=Size(width=64, height=48)))
    for index in (1, 0):
        with pytest.raises(FrameError, match="does not follow"):
            encoder.encode(picture(index))
    assert encoder.encode(picture(2)).pts == 2 * STEP


def test_each_frame_says_how_far_it_is_from_what_was_given(library: str) -> None:
    given = moving_frames(Size(width=320, height=180))[:12]
    encoder = open_video_encoder(CODECS[library](size=given[0].size, target_bitrate_bps=400_000))
    coded = [encoder.encode(frame) for frame in given]
    encoder.close()
    for frame, each, shown in zip(given, coded, decoded(coded, library=library), strict=True):
        luma = shown.to_ndarray(format="yuv420p")[:180, :320].astype(int)
        assert each.mse == pytest.approx(float(np.mean((luma - frame.y) ** 2)), rel=0.05)
