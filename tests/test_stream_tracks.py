from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from aiortc.mediastreams import MediaStreamError

from stream.audio import AudioChunk
from stream.buffer import LatestBuffer
from stream.frame import Frame
from stream.sending_codecs import SendCounters
from stream.tracks import (
    AudioTrack,
    ReportClock,
    SendingAudio,
    SendingVideo,
    VideoTrack,
    report_media_time,
)
from tests.live_media import X264, picture, tone


async def test_a_video_track_carries_each_frame_with_its_encoder() -> None:
    source: LatestBuffer[Frame] = LatestBuffer(2)
    video, counters = SendingVideo(source=source, encoder=X264()), SendCounters()
    track = VideoTrack(video, counters)
    frame = picture(1)
    source.put(frame)
    carrier = await track.recv()
    assert carrier.media is frame
    assert carrier.encoder is video.encoder
    assert carrier.counters is counters


async def test_an_audio_track_cuts_any_chunks_into_20_ms() -> None:
    source: LatestBuffer[AudioChunk] = LatestBuffer(10)
    track = AudioTrack(SendingAudio(source=source, bitrate_bps=24_000), SendCounters())
    for pts in range(0, 3000, 1500):
        source.put(tone(pts, samples=1500))
    carriers = [await track.recv() for _ in range(3)]
    assert [carrier.media.pts for carrier in carriers] == [0, 960, 1920]
    assert {len(carrier.media.samples) for carrier in carriers} == {960}
    assert carriers[0].bitrate_bps == 24_000


async def test_a_track_ends_with_its_source() -> None:
    frames: LatestBuffer[Frame] = LatestBuffer(1)
    sound: LatestBuffer[AudioChunk] = LatestBuffer(1)
    tracks = [
        VideoTrack(SendingVideo(source=frames, encoder=X264()), SendCounters()),
        AudioTrack(SendingAudio(source=sound), SendCounters()),
    ]
    waiting = [asyncio.create_task(track.recv()) for track in tracks]
    await asyncio.sleep(0)
    frames.close()
    sound.close()
    for task in waiting:
        with pytest.raises(MediaStreamError):
            await task


def test_all_tracks_of_a_peer_report_the_same_ntp_time_for_the_same_moment() -> None:
    clock = ReportClock(lambda: 1000 << 32)
    assert clock.ntp(90_000, clock_hz=90_000) == 1000 << 32
    assert clock.ntp(96_000, clock_hz=48_000) == 1001 << 32
    assert clock.ntp(0, clock_hz=48_000) == 999 << 32


async def test_the_report_after_a_frame_was_sent_holds_the_time_of_that_frame() -> None:
    class Sender:
        """As much of RTCRtpSender as sends frames of 40 ms."""

        def __init__(self) -> None:
            self.pts = 0

        async def _next_encoded_frame(self, codec: object) -> SimpleNamespace | None:
            self.pts += 3600
            return None if self.pts == 7200 else SimpleNamespace(timestamp=self.pts)

    sender = Sender()
    clock = ReportClock(lambda: 0)
    report_media_time(sender, clock_hz=90_000, clock=clock)  # type: ignore[arg-type] # a stand-in
    reported = []
    for _ in range(4):
        await sender._next_encoded_frame(None)
        ntp = vars(sender).get("_RTCRtpSender__ntp_timestamp")
        reported.append(None if ntp is None else round(ntp / 2**32 * 1000))
    # The second frame was not sent, so the third call still reports the first one.
    assert reported == [None, 0, 0, 80]
