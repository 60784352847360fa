from dataclasses import replace

import numpy as np

from encoder.content_limits import coded_effort
from encoder.ladder import Ladder
from encoder.rung_switch import DOWN_HOLD_MS, UP_HOLD_MS, UP_PATIENCE_MS
from encoder.sizing import Sizing
from stream.frame import Frame, Size
from tests.live_media import picture

HD = Size(width=1280, height=720)
LIMIT_BPS = Ladder().limits_bps(0)[1]
SMALLEST = str(Ladder().box(0))


def _shot(index: int, *, shot: int = 0) -> Frame:
    """A picture whose content, shot by shot, has nothing to do with that of other shots."""
    frame = picture(index, size=HD)
    blocks = np.random.default_rng(shot).integers(30, 220, (9, 16)).astype(np.uint8)
    return replace(frame, y=np.kron(blocks, np.ones((80, 80), np.uint8)))


def test_a_wanted_size_is_kept_whatever_the_rate_does() -> None:
    sizing = Sizing(Size(width=640, height=360), bitrate_bps=200_000)
    sizing.follow(30_000)
    sizes = {str(sizing.shrink(_shot(i), now_ms=40.0 * i).size) for i in range(200)}
    assert sizes == {"640x360"}


def test_when_the_rate_falls_the_size_changes_with_the_first_picture_of_a_shot() -> None:
    sizing = Sizing(None, bitrate_bps=round(2 * LIMIT_BPS))
    before = str(sizing.size_of(HD))
    sizing.follow(0.7 * LIMIT_BPS)
    first_of_shot = round(DOWN_HOLD_MS / 40) + 10
    sizes = [
        str(sizing.shrink(_shot(i, shot=int(i >= first_of_shot)), now_ms=40.0 * i).size)
        for i in range(first_of_shot + 5)
    ]
    assert before != SMALLEST
    assert sizes == [before] * first_of_shot + [SMALLEST] * 5


def test_the_codec_that_was_agreed_on_decides_from_the_first_picture_on() -> None:
    h264, av1 = Ladder(codec="h264"), Ladder(codec="av1")
    rate_bps = next(
        rate
        for rate in range(30_000, 2_000_000, 5_000)
        if h264.box(h264.rung_for(rate)) != av1.box(av1.rung_for(rate))
    )
    sizing = Sizing(None, bitrate_bps=rate_bps)
    assert sizing.size_of(HD) == h264.box(h264.rung_for(rate_bps))
    sizing.follow(rate_bps, codec="av1")
    assert sizing.shrink(_shot(0), now_ms=0).size == av1.box(av1.rung_for(rate_bps))


def test_each_source_size_gets_its_own() -> None:
    sizing = Sizing(None, bitrate_bps=30_000)
    wide, upright = sizing.size_of(HD), sizing.size_of(Size(width=720, height=1280))
    assert str(wide) == SMALLEST
    assert (upright.width, upright.height) == (wide.height, wide.width)


def _after(sizing: Sizing, *, mse: float, bitrate_bps: float, detail: int) -> str:
    """The size that travels after pictures with this much detail took this error for long."""
    noise = np.random.default_rng(0).integers(-detail, detail + 1, (HD.height, HD.width))
    shown = replace(picture(0, size=HD), y=(128 + noise).astype(np.uint8))
    size = sizing.size_of(HD)
    for index in range(round((UP_HOLD_MS + UP_PATIENCE_MS) / 1000) + 6):
        sizing.follow(bitrate_bps, effort=(size, coded_effort(mse, bitrate_bps)))
        size = sizing.shrink(shown.at(90_000 * index), now_ms=1000.0 * index).size
    return str(size)


def test_at_the_same_rate_what_is_sharp_and_easy_travels_larger_than_what_is_hard() -> None:
    easy = _after(Sizing(None, bitrate_bps=150_000), mse=0.2, bitrate_bps=150_000, detail=40)
    hard = _after(Sizing(None, bitrate_bps=150_000), mse=900.0, bitrate_bps=150_000, detail=1)
    assert easy == str(HD)
    assert hard == SMALLEST


def test_errors_of_another_size_than_the_one_that_travels_are_not_used() -> None:
    sizing = Sizing(None, bitrate_bps=150_000)
    other = Size(width=HD.width - 2, height=HD.height)
    before = str(sizing.size_of(HD))
    for index in range(16):
        sizing.follow(150_000, effort=(other, coded_effort(0.01, 150_000)))
        size = sizing.shrink(_shot(index), now_ms=1000.0 * index).size
    assert str(size) == before
