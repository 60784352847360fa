"""A receiver in the test's own process, and real peers that publish to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from decoder.receiver import Receiver
from decoder.receiver_config import ReceiverConfig
from stream.buffer import LatestBuffer
from stream.config import HostPort
from stream.frame import Frame, Size
from stream.peer import NetworkScope, SendingPeer
from stream.tracks import SendingVideo
from stream.whip_client import WhipClient
from tests.live_media import X264
from tests.live_peers import until
from tests.marked_pictures import marked

LR, HR = Size(width=160, height=96), Size(width=320, height=192)
ANYWHERE = HostPort(host="127.0.0.1", port=0)


def receiver_config(*outputs: str, **settings: object) -> ReceiverConfig:
    """Quick settings, any of them replaced by `settings`."""
    given = {"listen": ANYWHERE, "model": "lanczos", "size": HR} | settings
    return ReceiverConfig(outputs=outputs, **given)  # type: ignore[arg-type] # any setting


@contextlib.asynccontextmanager
async def running(config: ReceiverConfig) -> AsyncIterator[Receiver]:
    """A receiver, stopped at the end of the block; raises what its `run` raises."""
    receiver = Receiver(config)
    run = asyncio.create_task(receiver.run())
    if config.whep is None:
        await until(lambda: receiver.url is not None or run.done())
    try:
        yield receiver
    finally:
        receiver.stop()
        await run


@contextlib.asynccontextmanager
async def publishing(url: str, token: str | None = None) -> AsyncIterator[LatestBuffer[Frame]]:
    """A buffer whose frames are sent to `url`."""
    frames: LatestBuffer[Frame] = LatestBuffer(50)
    peer = SendingPeer(SendingVideo(source=frames, encoder=X264()), None, NetworkScope.LOOPBACK)
    try:
        async with WhipClient(url, token) as client:
            await peer.set_answer(await client.publish(await peer.create_offer()))
            await peer.wait_connected()
            yield frames
            await asyncio.sleep(0.2)  # for what is on its way
    finally:
        await peer.close()


async def play(frames: LatestBuffer[Frame], numbers: range) -> None:
    """Send one marked picture after another, at twice the speed of life."""
    for number in numbers:
        frames.put(marked(number, size=LR))
        await asyncio.sleep(0.02)
