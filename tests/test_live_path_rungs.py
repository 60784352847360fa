"""The rung changes while a stream runs: what the other end gets."""

from encoder.ladder import Ladder
from encoder.live_encoder import LiveEncoder
from encoder.rate_control import RateController
from encoder.sizing import Sizing
from stream.frame import Size
from tests.live_media import picture
from tests.live_peers import linked

HD = Size(width=640, height=384)
STEP = 3600


async def test_when_the_rate_collapses_a_smaller_picture_goes_on_without_a_frame_missing() -> None:
    ladder = Ladder(HD)
    sizing = Sizing(None, bitrate_bps=round(2 * ladder.limits_bps(0)[1]), hd=HD)
    encoder = LiveEncoder(
        RateController(400_000), frame_rate=25, preset="ultrafast", intra_refresh=False
    )
    first, count = 20, 40
    async with linked(encoder=encoder) as link:
        frames = []
        for index in range(count):
            if index == first:
                sizing.follow(0.3 * ladder.limits_bps(0)[1])
            frame = picture(index, size=HD)
            link.pictures.put(sizing.shrink(frame, now_ms=40.0 * index))
            frames += await link.received_until(index * STEP)
    assert [frame.pts for frame in frames] == [index * STEP for index in range(count)]
    sizes = [str(frame.size) for frame in frames]
    assert sizes == [str(ladder.box(1))] * first + [str(ladder.box(0))] * (count - first)
    assert [index for index, frame in enumerate(frames) if frame.is_keyframe] == [0, first]
