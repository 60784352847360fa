"""libx264 as the live path needs it: rate, keyframes, profile, and nothing held back."""

from collections.abc import Iterator
from itertools import pairwise

import av
import numpy as np
import pytest
from av.codec.context import Flags
from numpy.typing import NDArray

from encoder.h264_encoder import H264Encoder, preset_for
from encoder.video_encoder import (
    EncodedFrame,
    H264Profile,
    H264Settings,
)
from stream.errors import CodecError
from stream.frame import CLOCK_HZ, Frame, Size
from tests.coded_video import CUT, busiest_second, keyframes, moving_frames
from tests.live_media import picture

STEP = CLOCK_HZ // 25
SMALL = Size(width=160, height=96)


@pytest.fixture(scope="module")
def moving() -> list[Frame]:
    return moving_frames(Size(width=640, height=360))


def _encoder(*, bitrate_bps: int = 150_000, **settings: object) -> H264Encoder:
    given = {"size": SMALL, "preset": "ultrafast"} | settings
    return H264Encoder(H264Settings(target_bitrate_bps=bitrate_bps, **given))  # type: ignore[arg-type] # any setting


@pytest.mark.parametrize("bitrate_bps", [60_000, 150_000, 400_000])
def test_no_second_of_a_moving_scene_exceeds_the_target_by_more_than_a_tenth(
    moving: list[Frame], bitrate_bps: int
) -> None:
    size = moving[0].size
    encoder = _encoder(bitrate_bps=bitrate_bps, size=size, preset="auto")
    coded = [
        encoder.encode(frame, force_keyframe=index == CUT) for index, frame in enumerate(moving)
    ]
    assert keyframes(coded) == [0, CUT]
    assert busiest_second(coded) <= 1.1 * bitrate_bps
    assert sum(8 * len(each.data) for each in coded) > 0.7 * bitrate_bps * len(moving) / 25


def _noise(index: int, *, levels: int) -> Frame:
    levels_of = np.random.default_rng(index).integers(-levels, levels + 1, (180, 320))
    grey = np.full((90, 160), 128, np.uint8)
    return Frame(y=(128 + levels_of).astype(np.uint8), u=grey, v=grey, pts=STEP * index)


def test_where_not_even_the_coarsest_quantiser_is_enough_pictures_are_repeated() -> None:
    encoder = _encoder(bitrate_bps=60_000, size=Size(width=320, height=180), preset="veryfast")
    coded = [
        encoder.encode(_noise(index, levels=3 if index < 40 else 30), force_keyframe=index == 40)
        for index in range(100)
    ]
    assert busiest_second(coded) <= 1.1 * 60_000  # 1.12 times as much without
    assert keyframes(coded) == [0, 40]


def test_options_of_the_library_reach_it(moving: list[Frame]) -> None:
    usual, coarse = (
        _encoder(bitrate_bps=4_000_000, size=moving[0].size, library_options=options)
        .encode(moving[0])
        .data
        for options in ((), ("qpmin=50",))
    )
    assert len(coarse) < 0.5 * len(usual)


def test_a_rate_lowered_within_range_is_kept_without_a_keyframe(moving: list[Frame]) -> None:
    encoder = _encoder(bitrate_bps=200_000, size=moving[0].size, preset="veryfast")
    coded = []
    for index, frame in enumerate(moving):
        if index == 10:
            encoder.target_bitrate_bps = 150_000
        coded.append(encoder.encode(frame))
    assert keyframes(coded) == [0]
    assert busiest_second(coded[CUT + 15 :]) <= 1.1 * 150_000


def test_a_rate_out_of_range_opens_the_codec_again_but_not_within_two_seconds() -> None:
    encoder = _encoder(bitrate_bps=400_000)
    coded = []
    for index in range(120):
        encoder.target_bitrate_bps = 100_000 if index // 5 % 2 else 400_000
        coded.append(encoder.encode(picture(index)))
    places = keyframes(coded)
    assert len(places) >= 2
    assert all(b - a >= 50 for a, b in pairwise(places))


def _parameter_sets(data: bytes) -> Iterator[bytes]:
    for unit in data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1"):
        if unit and unit[0] & 31 == 7:
            yield unit


@pytest.mark.parametrize(
    ("profile", "profile_idc"), [("baseline", 66), ("main", 77), ("high", 100)]
)
def test_the_profile_is_the_one_asked_for_and_every_keyframe_says_so(
    profile: H264Profile, profile_idc: int
) -> None:
    encoder = _encoder(profile=profile, preset="medium")  # faster ones use less than they may
    for index in range(4):
        coded = encoder.encode(picture(index), force_keyframe=index == 2)
        # ITU-T H.264 section 7.3.2.1.1: profile_idc is the first byte of the parameter set.
        found = [unit[1] for unit in _parameter_sets(coded.data)]
        assert found == ([profile_idc] if index in (0, 2) else [])


def test_a_frame_rate_other_than_declared_is_found_out_and_the_rate_kept(
    moving: list[Frame],
) -> None:
    """Declared 60, there are 25 frames a second: budgets would be less than half of what fits."""
    encoder = _encoder(bitrate_bps=150_000, size=moving[0].size, frame_rate=60.0)
    coded = [encoder.encode(frame) for frame in moving]
    assert len(keyframes(coded)) == 2
    late_bits = sum(8 * len(each.data) for each in coded[70:])
    assert late_bits > 0.75 * 150_000 * 50 / 25


def test_a_pause_is_not_taken_for_another_frame_rate() -> None:
    encoder = _encoder()
    coded = [
        encoder.encode(picture(index, pts=index * STEP + (index >= 60) * 60 * CLOCK_HZ))
        for index in range(120)
    ]
    assert keyframes(coded) == [0]


def test_settings_that_cannot_work_are_refused_at_once() -> None:
    with pytest.raises(CodecError, match="libx264 cannot be opened"):
        _encoder(preset="warp")


def test_larger_pictures_get_faster_presets() -> None:
    sizes = [
        Size(width=640, height=360),
        Size(width=960, height=540),
        Size(width=1920, height=1080),
    ]
    assert [preset_for(size, 30) for size in sizes] == ["medium", "faster", "veryfast"]
    assert preset_for(sizes[0], 60) == "faster"


def _shown_without(coded: list[EncodedFrame], lost: int) -> dict[int, av.VideoFrame]:
    """What a decoder makes of a stream of which one frame is missing, by number."""
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    decoder.flags |= Flags.low_delay | Flags.output_corrupt
    shown: dict[int, av.VideoFrame] = {}
    for index, each in enumerate(coded):
        if index != lost:
            shown[index] = decoder.decode(av.Packet(each.data))[0]
    return shown


@pytest.mark.parametrize("intra_refresh", [True, False])
def test_with_intra_refresh_damage_heals_and_no_keyframe_is_coded(intra_refresh: bool) -> None:
    frames = [picture(index) for index in range(120)]
    encoder = _encoder(bitrate_bps=150_000, intra_refresh=intra_refresh)
    coded = [encoder.encode(frame) for frame in frames]
    encoder.close()
    assert keyframes(coded) == [0]
    whole, damaged = _shown_without(coded, -1), _shown_without(coded, 10)
    errors = {
        index: float(np.abs(_luma(whole[index]) - _luma(damaged[index])).mean())
        for index in (20, 119)
    }
    assert errors[20] > 1
    assert (errors[119] < 0.1) == intra_refresh


def _luma(shown: av.VideoFrame) -> NDArray[np.int64]:
    return shown.to_ndarray(format="yuv420p")[: SMALL.height].astype(np.int64)


def test_a_still_picture_costs_little_once_it_is_good() -> None:
    encoder = _encoder(bitrate_bps=100_000)
    coded = [encoder.encode(picture(0, pts=index * STEP)) for index in range(150)]
    encoder.close()
    assert sum(8 * len(each.data) for each in coded[100:]) < 0.15 * 100_000 * 50 / 25
