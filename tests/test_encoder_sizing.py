from dataclasses import replace

import numpy as np

from encoder.ladder import Ladder
from encoder.rung_switch import DOWN_HOLD_MS
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
