"""SVT-AV1 as the live path needs it: rate, keyframes, and nothing held back."""

import pytest

from encoder.av1_encoder import AV1Encoder, preset_for
from encoder.video_encoder import (
    AV1Settings,
)
from stream.errors import CodecError, ConfigError
from stream.frame import CLOCK_HZ, Frame, Size
from tests.coded_video import CUT, busiest_second, keyframes, moving_frames
from tests.live_media import picture

STEP = CLOCK_HZ // 25
SMALL = Size(width=160, height=96)


@pytest.fixture(scope="module")
def moving() -> list[Frame]:
    return moving_frames(Size(width=320, height=180))


def _encoder(*, bitrate_bps: int = 150_000, **settings: object) -> AV1Encoder:
    given = {"size": SMALL, "preset": "10"} | settings
    return AV1Encoder(AV1Settings(target_bitrate_bps=bitrate_bps, **given))  # type: ignore[arg-type] # any setting


@pytest.mark.parametrize("bitrate_bps", [60_000, 150_000, 300_000])
def test_no_second_of_a_moving_scene_exceeds_the_target_by_more_than_a_tenth(
    moving: list[Frame], bitrate_bps: int
) -> None:
    encoder = _encoder(bitrate_bps=bitrate_bps, size=moving[0].size)
    coded = [
        encoder.encode(frame, force_keyframe=index == CUT) for index, frame in enumerate(moving)
    ]
    encoder.close()
    first, second = keyframes(coded)
    assert first == 0
    assert CUT <= second <= CUT + 12  # it waits until it fits
    assert busiest_second(coded) <= 1.1 * bitrate_bps
    assert sum(8 * len(each.data) for each in coded) > 0.8 * bitrate_bps * len(moving) / 25


def test_another_rate_is_kept_from_the_next_second_on_without_a_keyframe(
    moving: list[Frame],
) -> None:
    encoder = _encoder(bitrate_bps=300_000, size=moving[0].size)
    coded = []
    for index, frame in enumerate(moving[:CUT]):
        if index == 20:
            encoder.target_bitrate_bps = 150_000
        coded.append(encoder.encode(frame))
    assert keyframes(coded) == [0]
    assert busiest_second(coded[30:]) <= 1.1 * 150_000


def test_a_still_picture_costs_almost_nothing() -> None:
    encoder = _encoder(bitrate_bps=100_000)
    coded = [encoder.encode(picture(0, pts=index * STEP)) for index in range(100)]
    assert sum(8 * len(each.data) for each in coded[50:]) < 0.2 * 100_000 * 50 / 25


def test_settings_that_cannot_work_are_refused_at_once() -> None:
    for preset in ("medium", "14"):
        with pytest.raises(ConfigError, match="preset"):
            _encoder(preset=preset)
    with pytest.raises(CodecError, match="failed for 2x2"):
        _encoder(size=Size(width=2, height=2))


def test_options_of_the_library_reach_it() -> None:
    usual, other = (
        _encoder(library_options=options).encode(picture(0)).data
        for options in ((), ("chroma-u-ac-qindex-offset=40",))
    )
    assert other != usual
    with pytest.raises(CodecError, match="parse_parameter"):
        _encoder(library_options=("no-such-option=1",))


def test_larger_pictures_get_faster_presets() -> None:
    sizes = [Size(width=320, height=180), Size(width=640, height=360), Size(width=1280, height=720)]
    assert [preset_for(size, 30) for size in sizes] == [4, 7, 10]
    assert preset_for(sizes[1], 60) == 8
