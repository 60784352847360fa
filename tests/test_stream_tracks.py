from __future__ import annotations

import asyncio

import pytest
from aiortc.mediastreams import MediaStreamError

from stream.audio import AudioChunk
from stream.buffer import LatestBuffer
from stream.frame import Frame
from stream.sending_codecs import SendCounters
from stream.tracks import (
    AudioTrack,
    SendingAudio,
    SendingVideo,
    VideoTrack,
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
