"""Two real peers in one process, connected over loopback ICE."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from stream.audio import AudioChunk
from stream.buffer import LatestBuffer
from stream.frame import Frame, Size
from stream.peer import NetworkScope, ReceivingPeer, SendingPeer
from stream.sending_codecs import FrameEncoder
from stream.tracks import SendingAudio, SendingVideo
from tests.live_media import SIZE, X264, picture, tone

SendData = Callable[[bytes, tuple[str, int]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Both ends of a session and what goes into the sending one."""

    sender: SendingPeer
    receiver: ReceivingPeer
    pictures: LatestBuffer[Frame]
    sound: LatestBuffer[AudioChunk]

    async def play(
        self, frames: range, *, size: Size = SIZE, with_sound: bool = False, pause_s: float = 0.02
    ) -> None:
        """Send so many pictures (and 40 ms of sound with each) at twice the speed of life."""
        for index in frames:
            self.pictures.put(picture(index, size=size))
            if with_sound:
                self.sound.put(tone(1920 * index, samples=1920))
            await asyncio.sleep(pause_s)

    async def received_until(self, pts: int) -> list[Frame]:
        """Everything decoded up to the frame at `pts` (1/90000 s), within 8 seconds."""
        frames: list[Frame] = []
        async with asyncio.timeout(8):
            while not frames or frames[-1].pts < pts:
                frames.append(await self.receiver.video.get_async())
        return frames


@asynccontextmanager
async def linked(
    *,
    encoder: FrameEncoder | None = None,
    with_audio: bool = False,
    receiver_offers: bool = False,
    video_capacity: int = 500,
    edit_sdp: Callable[[str], str] = lambda sdp: sdp,
) -> AsyncIterator[Link]:
    """A connected pair (WHIP: the sender offers; WHEP: the receiver does), closed at the end.

    edit_sdp: what happens to both descriptions on their way.
    """
    pictures: LatestBuffer[Frame] = LatestBuffer(100)
    sound: LatestBuffer[AudioChunk] = LatestBuffer(100)
    sender = SendingPeer(
        SendingVideo(source=pictures, encoder=encoder or X264()),
        SendingAudio(source=sound) if with_audio else None,
        NetworkScope.LOOPBACK,
    )
    receiver = ReceivingPeer(
        NetworkScope.LOOPBACK, video_capacity=video_capacity, audio_capacity=500
    )
    try:
        if receiver_offers:
            answer = await sender.answer(edit_sdp(await receiver.create_offer()))
            await receiver.set_answer(edit_sdp(answer))
        else:
            answer = await receiver.answer(edit_sdp(await sender.create_offer()))
            await sender.set_answer(edit_sdp(answer))
        async with asyncio.timeout(8):
            await asyncio.gather(sender.connected.wait(), receiver.connected.wait())
        yield Link(sender=sender, receiver=receiver, pictures=pictures, sound=sound)
    finally:
        await asyncio.gather(sender.close(), receiver.close())


def lose_packets(peer: SendingPeer | ReceivingPeer, is_lost: Callable[[bytes], bool]) -> None:
    """Drop the RTP and RTCP packets that `peer` sends whenever `is_lost` says so."""
    for connection in peer._path._adopted:
        for protocol in connection._protocols:
            vars(protocol)["send_data"] = _lossy(protocol.send_data, is_lost)


def _lossy(send: SendData, is_lost: Callable[[bytes], bool]) -> SendData:
    async def send_data(data: bytes, addr: tuple[str, int]) -> None:
        if not (128 <= data[0] < 192 and is_lost(data)):  # RFC 7983
            await send(data, addr)

    return send_data


def fall_silent(peer: SendingPeer | ReceivingPeer) -> None:
    """As if the process of `peer` had been killed: nothing goes out any more."""

    async def lost(data: bytes, addr: tuple[str, int]) -> None:
        return

    for connection in peer._path._adopted:
        for protocol in connection._protocols:
            vars(protocol).update(send_data=lost, send_stun=lambda message, addr: None)


def seeded_loss(ratio: float, seed: int) -> Callable[[bytes], bool]:
    """Independent losses, the same in every run."""
    order = random.Random(seed)
    return lambda packet: order.random() < ratio


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, for 8 seconds at most."""
    async with asyncio.timeout(8):
        while not holds():  # noqa: ASYNC110 (counters have no event)
            await asyncio.sleep(0.01)
