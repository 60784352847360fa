"""Viewers by WHEP that decode what they get, in this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from stream.audio import AudioChunk
from stream.errors import EdvrError
from stream.frame import Frame
from stream.peer import NetworkScope, ReceivingPeer
from stream.whip_client import CounterOffer, WhepClient


@dataclass(kw_only=True)
class Viewer:
    """What one viewer got so far: pictures, when they came, and sound."""

    peer: ReceivingPeer
    asked_s: float
    frames: list[Frame] = field(default_factory=list)
    arrived_s: list[float] = field(default_factory=list)
    sound: list[AudioChunk] = field(default_factory=list)

    @property
    def first_picture_s(self) -> float:
        """From asking to the first picture."""
        return self.arrived_s[0] - self.asked_s

    def longest_gap_s(self, since_s: float) -> float:
        """Between two pictures, or the last one and now, from a moment on."""
        times = [since_s, *(at for at in self.arrived_s if at > since_s), time.monotonic()]
        return max(b - a for a, b in pairwise(times))

    def stop_reading(self) -> None:
        """The system goes on taking packets for it until its buffer is full."""
        loop = asyncio.get_running_loop()
        for connection in self.peer._path._adopted:
            for protocol in connection._protocols:
                # The public method refuses sockets that a transport has.
                socket = protocol.transport.get_extra_info("socket")
                loop._remove_reader(socket.fileno())  # type: ignore[attr-defined] # see above

    async def got(self, count: int, *, within_s: float = 20.0) -> None:
        """Wait for so many pictures."""
        async with asyncio.timeout(within_s):
            while len(self.frames) < count:  # noqa: ASYNC110 (a list has no event)
                await asyncio.sleep(0.02)

    async def take(self) -> None:
        """Collect until the session ends."""

        async def pictures() -> None:
            while True:
                self.frames.append(await self.peer.video.get_async())
                self.arrived_s.append(time.monotonic())

        async def chunks() -> None:
            while True:
                self.sound.append(await self.peer.audio.get_async())

        try:
            await asyncio.gather(pictures(), chunks())
        except EdvrError:
            return


@asynccontextmanager
async def viewing(
    url: str, token: str | None = None, *, said: Callable[[str], str] = lambda offer: offer
) -> AsyncIterator[Viewer]:
    """A viewer of `url`, from its offer to its end. said: what it makes of its offer."""
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(_peer())
        asked_s = time.monotonic()
        client = await stack.enter_async_context(WhepClient(url, token))
        reply = await client.pull(said(await peer.create_offer()))
        if isinstance(reply, CounterOffer):
            peer = await stack.enter_async_context(_peer())
            await client.answer(await peer.answer(reply.offer_sdp))
        else:
            await peer.set_answer(reply.answer_sdp)
        viewer = Viewer(peer=peer, asked_s=asked_s)
        taking = asyncio.create_task(viewer.take())
        stack.push_async_callback(_cancel, taking)
        await peer.wait_connected()
        yield viewer


@asynccontextmanager
async def _peer() -> AsyncIterator[ReceivingPeer]:
    peer = ReceivingPeer(NetworkScope.LOOPBACK, video_capacity=500, audio_capacity=500)
    try:
        yield peer
    finally:
        await peer.close()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
