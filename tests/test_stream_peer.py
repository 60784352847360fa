from __future__ import annotations

import time
from itertools import pairwise

import av
import numpy as np
import pytest

from stream.audio import AudioChunk
from stream.errors import CodecError, ConfigError
from stream.frame import Frame, Size
from stream.sending_codecs import NegotiatedCodec
from stream.tracks import SendingAudio
from tests.live_media import INTERVAL, X264, picture, psnr, take
from tests.live_peers import linked, lose_packets, seeded_loss, until


async def test_pictures_arrive_complete_in_order_and_as_they_were_sent() -> None:
    encoder = X264()
    async with linked(encoder=encoder) as link:
        await link.play(range(25))
        frames = await take(link.receiver.video, 25)
        stats = link.receiver.stats()
    assert [frame.pts for frame in frames] == [INTERVAL * index for index in range(25)]
    assert [frame.is_keyframe for frame in frames] == [True] + [False] * 24
    for index, frame in enumerate(frames):
        assert psnr(frame, picture(index)) > 40
        assert frame.quantiser is not None
        assert frame.entered_ms is not None
        assert not frame.is_damaged
    assert encoder.codec == NegotiatedCodec(name="h264", profile_level_id="640c1f", payload_type=97)
    assert encoder.keyframes_forced == 1
    assert (stats.codec, stats.frames_lost, stats.peer_errors) == ("h264", 0, 0)


async def test_a_receiver_may_make_the_offer() -> None:
    async with linked(receiver_offers=True, with_audio=True) as link:
        await link.play(range(10), with_sound=True)
        assert len(await take(link.receiver.video, 10)) == 10
        assert len(await take(link.receiver.audio, 3)) == 3
        assert link.sender.stats().codec == "h264"


async def test_a_single_picture_arrives_without_another_one_behind_it() -> None:
    async with linked() as link:
        link.pictures.put(picture(3))
        (frame,) = await take(link.receiver.video, 1)
    assert psnr(frame, picture(3)) > 40


async def test_sound_is_the_sound_of_its_time_on_the_clock_of_the_pictures() -> None:
    async with linked(with_audio=True) as link:
        await link.play(range(75), with_sound=True, pause_s=0.04)
        await take(link.receiver.video, 75)
        chunks = await take(link.receiver.audio, 130)
    assert all(later.pts >= earlier.end_pts for earlier, later in pairwise(chunks))
    assert_in_step(chunks)


async def test_sound_is_in_step_from_its_start_though_the_first_picture_took_long() -> None:
    class SlowStart(X264):
        """Takes as long for its first picture as a large keyframe takes on a busy machine."""

        def _open(self, size: Size) -> av.VideoCodecContext:
            time.sleep(0.15)
            return super()._open(size)

    async with linked(encoder=SlowStart(), with_audio=True) as link:
        await link.play(range(12), with_sound=True, pause_s=0.04)
        chunks = await take(link.receiver.audio, 10)
    assert_in_step(chunks)


def assert_in_step(chunks: list[AudioChunk]) -> None:
    """The 440 Hz tone has the phase of its own pts."""
    for chunk in chunks[-20:]:
        times = chunk.pts + np.arange(len(chunk.samples))
        angle = 2 * np.pi * 440 * times / 48_000
        wave = chunk.samples[:, 0].astype(np.float64)
        phase = np.arctan2(wave @ np.cos(angle), wave @ np.sin(angle))
        late_ms = phase / (2 * np.pi * 440) * 1000
        assert abs(late_ms) < 0.3  # a period is 2.3 ms
        assert np.abs(wave).max() > 6000


async def test_lost_packets_are_sent_again_and_no_picture_is_missing() -> None:
    async with linked(encoder=X264(slice_bytes=300)) as link:
        lose_packets(link.sender, seeded_loss(0.05, seed=3))
        await link.play(range(60), size=Size(width=320, height=192))
        frames = await take(link.receiver.video, 60)
        stats = link.receiver.stats()
    assert [frame.pts for frame in frames] == [INTERVAL * index for index in range(60)]
    assert not any(frame.is_damaged for frame in frames)
    assert (stats.frames_lost, stats.packets_lost) == (0, 0)


async def test_after_a_blackout_a_keyframe_is_asked_for_and_the_picture_is_whole_again() -> None:
    encoder = X264()
    is_dark = False
    async with linked(encoder=encoder) as link:
        # Retransmissions (payload type 98) never arrive, so that nothing else can help.
        lose_packets(link.sender, lambda packet: is_dark or packet[1] & 0x7F == 98)
        await link.play(range(10))
        is_dark = True
        await link.play(range(10, 30))
        is_dark = False
        await link.play(range(30, 60))
        frames = await link.received_until(59 * INTERVAL)
        stats = link.receiver.stats()
    assert [frame.pts // INTERVAL for frame in frames[:10]] == list(range(10))
    recovered = [frame for frame in frames[10:] if frame.is_keyframe]
    assert encoder.keyframes_forced >= 2
    assert recovered
    assert frames[-1].pts == 59 * INTERVAL
    assert not frames[-1].is_damaged
    assert psnr(frames[-1], picture(59)) > 40
    assert stats.frames_lost >= 1
    assert stats.packets_lost >= 15
    before_keyframe = frames[10 : frames.index(recovered[0])]
    assert all(frame.is_damaged for frame in before_keyframe)


async def test_a_change_of_resolution_in_mid_stream_arrives() -> None:
    async with linked() as link:
        await link.play(range(5))
        await link.play(range(5, 10), size=Size(width=96, height=64))
        frames = await take(link.receiver.video, 10)
    assert [str(frame.size) for frame in frames] == ["160x96"] * 5 + ["96x64"] * 5


async def test_source_times_that_jump_back_continue_where_they_were_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "stream")
    async with linked() as link:
        await link.play(range(500, 505))
        await link.play(range(5))
        frames = await take(link.receiver.video, 10)
    assert [frame.pts for frame in frames] == [INTERVAL * index for index in range(10)]
    jumped = "timestamps of the pictures jumped; they go on without a gap"
    assert caplog.messages.count(jumped) == 1


async def test_times_beyond_32_bits_arrive_without_a_step() -> None:
    start = 2**32 // INTERVAL - 3
    async with linked() as link:
        await link.play(range(start, start + 8))
        frames = await take(link.receiver.video, 8)
    assert [frame.pts for frame in frames] == [INTERVAL * index for index in range(8)]


class FailingEncoder(X264):
    """Refuses one picture in three."""

    def encode(
        self,
        frame: Frame,
        *,
        codec: NegotiatedCodec,
        force_keyframe: bool,
        remote_estimate_bps: int | None,
    ) -> bytes:
        if frame.pts // INTERVAL % 3 == 1:
            raise CodecError("this one is too hard")
        return super().encode(
            frame,
            codec=codec,
            force_keyframe=force_keyframe,
            remote_estimate_bps=remote_estimate_bps,
        )


async def test_a_picture_that_cannot_be_encoded_is_counted_and_the_stream_lives_on() -> None:
    async with linked(encoder=FailingEncoder()) as link:
        await link.play(range(9))
        frames = await take(link.receiver.video, 6)
        assert link.sender.stats().encode_errors == 3
    assert [frame.pts // INTERVAL for frame in frames] == [0, 2, 3, 5, 6, 8]


async def test_a_reader_that_is_too_slow_gets_the_newest_pictures_whole() -> None:
    async with linked(video_capacity=4) as link:
        await link.play(range(40), pause_s=0.01)
        await until(lambda: link.receiver.video.dropped == 36)
        frames = await take(link.receiver.video, 4)
    assert [frame.pts // INTERVAL for frame in frames] == [36, 37, 38, 39]
    assert psnr(frames[-1], picture(39)) > 40


async def test_bytes_on_the_wire_are_the_same_counted_at_both_ends() -> None:
    async with linked() as link:
        await link.play(range(25))
        await take(link.receiver.video, 25)

        def agree() -> bool:  # but for what is on its way
            here, there = link.sender.stats(), link.receiver.stats()
            return (here.wire_bytes_sent, here.wire_bytes_received) == (
                there.wire_bytes_received,
                there.wire_bytes_sent,
            )

        await until(agree)
        assert link.sender.stats().wire_bytes_sent > 10_000
        assert link.receiver.stats().wire_bytes_sent > 500


@pytest.mark.parametrize("bitrate_bps", [23_999, 64_001])
def test_a_sound_bitrate_outside_the_range_is_refused(bitrate_bps: int) -> None:
    with pytest.raises(ConfigError, match=str(bitrate_bps)):
        SendingAudio(source=None, bitrate_bps=bitrate_bps)  # type: ignore[arg-type] # not reached
