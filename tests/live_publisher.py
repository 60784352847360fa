"""A publisher of marked pictures, and sound, at the speed of life."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from stream.audio import AudioChunk
from stream.buffer import LatestBuffer
from stream.frame import Frame
from stream.peer import NetworkScope, SendingPeer
from stream.tracks import SendingAudio, SendingVideo
from stream.whip_client import WhipClient
from tests.live_media import X264
from tests.marked_pictures import marked
from tests.receiver_rig import LR


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """A publisher that is connected."""

    frames: LatestBuffer[Frame]
    sound: LatestBuffer[AudioChunk]

    async def play(self, numbers: range, *, fps: float = 25.0) -> None:
        """Send pictures on time, however busy the machine is."""
        start_s = time.monotonic()
        for index, number in enumerate(numbers):
            self.frames.put(marked(number % 256, size=LR, pts=round(index * 90_000 / fps)))
            await asyncio.sleep(max(0.0, start_s + (index + 1) / fps - time.monotonic()))


@contextlib.asynccontextmanager
async def live_publisher(url: str, *, with_sound: bool = False) -> AsyncIterator[Publishing]:
    """A publisher of `url`, until the end of the block."""
    media = Publishing(frames=LatestBuffer(50), sound=LatestBuffer(500))
    audio = SendingAudio(source=media.sound) if with_sound else None
    video = SendingVideo(source=media.frames, encoder=X264())
    peer = SendingPeer(video, audio, NetworkScope.LOOPBACK)
    try:
        async with WhipClient(url) as client:
            await peer.set_answer(await client.publish(await peer.create_offer()))
            await peer.wait_connected()
            yield media
            await asyncio.sleep(0.2)  # for what is on its way
    finally:
        await peer.close()
