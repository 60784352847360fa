"""A receiver that only notes when each picture came and whether it was whole.

It is the product's WHIP endpoint and its receiving peer, without restoration, so that what it tells
is of the link. It says `listening` on standard output, and at the end of its input one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field

from stream.buffer import BufferClosed
from stream.config import HostPort
from stream.http_server import HttpConfig, Offer, SignallingServer
from stream.peer import NetworkScope, ReceivingPeer


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFrame:
    """One decoded picture. pts: in 1/90000 s; at_ms: when it was decoded; is_whole: undamaged."""

    pts: int
    at_ms: float
    is_whole: bool


@dataclass(slots=True)
class _Session:
    peer: ReceivingPeer
    answer_sdp: str
    closed: asyncio.Event = field(init=False)

    def __post_init__(self) -> None:
        self.closed = self.peer.closed

    async def close(self) -> None:
        await self.peer.close()


async def receive(listen: HostPort) -> dict[str, object]:
    """Take publishers until standard input ends; the pictures, and the last peer's counts."""
    frames: list[SeenFrame] = []
    peers: list[ReceivingPeer] = []
    loop = asyncio.get_running_loop()

    async def watch(peer: ReceivingPeer) -> None:
        while True:
            try:
                frame = await peer.video.get_async()
            except BufferClosed:
                return
            seen = SeenFrame(pts=frame.pts, at_ms=1000 * loop.time(), is_whole=not frame.is_damaged)
            frames.append(seen)

    async def accept(offer: Offer) -> _Session:
        peer = ReceivingPeer(NetworkScope.ALL, video_capacity=500)
        answer = await peer.answer(offer.sdp)
        peers.append(peer)
        watches.append(asyncio.create_task(watch(peer)))
        return _Session(peer, answer)

    watches: list[asyncio.Task[None]] = []
    server = SignallingServer(HttpConfig(host=listen.host, port=listen.port), accept)
    async with server:
        print("listening", flush=True)
        await loop.run_in_executor(None, sys.stdin.read)
        stats = peers[-1].stats() if peers else None
        await asyncio.gather(*(peer.close() for peer in peers))
    await asyncio.gather(*watches)
    return {
        "frames": [[frame.pts, frame.at_ms, frame.is_whole] for frame in frames],
        "frames_lost": 0 if stats is None else stats.frames_lost,
        "codec": None if stats is None else stats.codec,
    }


def main() -> int:
    """Listen on HOST:PORT from the command line."""
    print(json.dumps(asyncio.run(receive(HostPort.parse(sys.argv[1])))), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
