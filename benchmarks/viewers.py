"""What a viewer costs the receiver: processor time with more and more of them, on one machine.

The receiver restores by Lanczos and compresses once; viewers hold complete sessions but decode
nothing, so that they fit beside it. Sending (RTP, SRTP, socket) is told apart from all the rest.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from stream.errors import EdvrError
from stream.frame import Size
from stream.peer import NetworkScope
from stream.peer_connection import PeerConnection
from stream.whip_client import CounterOffer, WhepClient

SETTLE_S = 3.0
START_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewerCost:
    """Averages with so many viewers. cores: processor time a second, of the whole receiver.

    sending_cores: the part that goes into single packets. frames_encoded: a second.
    """

    viewers: int
    cores: float
    sending_cores: float
    packets_per_s: float
    frames_encoded: float

    @property
    def rest_cores(self) -> float:
        """Everything but sending packets."""
        return self.cores - self.sending_cores


class DeafPeer(PeerConnection):
    """A viewer with a whole session that throws away what it gets."""

    def __init__(self) -> None:
        super().__init__(NetworkScope.LOOPBACK, remote_sends=True)

    def _prepare(self, kinds: list[str]) -> None:
        async def ignore(*arguments: Any, **settings: Any) -> None:  # noqa: ANN401 (thrown away)
            return

        for kind in kinds:
            transceiver = self._connection.addTransceiver(kind, direction="recvonly")
            vars(transceiver.receiver)["_handle_rtp_packet"] = ignore


async def measure(counts: tuple[int, ...], *, size: Size, seconds: float) -> list[ViewerCost]:
    """One row for each number of viewers, in increasing order."""
    rows = []
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(_receiver(size))
        url = await receiver.url()
        await stack.enter_async_context(_sender(url))
        await receiver.wait_for_stream(url)
        viewers = 0
        for count in sorted(counts):
            for _ in range(count - viewers):
                await stack.enter_async_context(_viewer(url.replace("/whip", "/whep/live")))
            viewers = count
            await receiver.wait_for_viewers(count)
            await asyncio.sleep(SETTLE_S)
            rows.append(await receiver.cost(count, seconds))
    return rows


def rest_per_viewer(rows: list[ViewerCost]) -> float:
    """Cores that one more viewer takes beyond its packets, once there is one.

    Compared picture by picture: on a busy machine fewer of them come through.
    """
    first = next(row for row in rows if row.viewers)
    last = rows[-1]
    per_frame = [row.rest_cores / row.frames_encoded for row in (first, last)]
    more = (per_frame[1] - per_frame[0]) * max(first.frames_encoded, last.frames_encoded)
    return more / max(1, last.viewers - first.viewers)


def as_figures(rows: list[ViewerCost]) -> dict[str, Any]:
    """For JSON. Any: values for JSON."""
    table = [asdict(row) | {"rest_cores": row.rest_cores} for row in rows]
    return {"rows": table, "rest_cores_per_viewer": rest_per_viewer(rows)}


class _Metered:
    """The receiver's process, read line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def figures(self) -> dict[str, Any]:
        """The next line. Any: values from JSON. Raises EdvrError when the receiver has ended."""
        assert self._process.stdout is not None  # a pipe was asked for; tells mypy
        line = await self._process.stdout.readline()
        if not line:
            raise EdvrError("the receiver that is measured has ended")
        found: dict[str, Any] = json.loads(line)
        return found

    async def url(self) -> str:
        """Where to publish, once it listens."""
        async with asyncio.timeout(START_S):
            while not (url := (await self.figures())["url"]):
                pass
        return str(url)

    async def wait_for_stream(self, url: str) -> None:
        """Wait until the stream can be viewed."""
        async with asyncio.timeout(START_S):
            while True:
                try:
                    async with _viewer(url.replace("/whip", "/whep/live")):
                        return
                except EdvrError:
                    await self.figures()

    async def wait_for_viewers(self, count: int) -> None:
        """Wait until so many are connected."""
        async with asyncio.timeout(START_S):
            while (await self.figures())["viewers"] != count:
                pass

    async def cost(self, viewers: int, seconds: float) -> ViewerCost:
        """What it takes from now on, for some seconds."""
        first = last = await self.figures()
        while last["at_s"] - first["at_s"] < seconds:
            last = await self.figures()
        elapsed_s = last["at_s"] - first["at_s"]
        rate = {name: (last[name] - first[name]) / elapsed_s for name in first if name != "url"}
        return ViewerCost(
            viewers=viewers,
            cores=rate["cpu_s"],
            sending_cores=rate["sending_s"],
            packets_per_s=rate["packets"],
            frames_encoded=rate["frames_encoded"],
        )


@asynccontextmanager
async def _receiver(size: Size) -> AsyncIterator[_Metered]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.metered_receiver", str(size)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield _Metered(process)
    finally:
        process.kill()
        await process.communicate()  # reads what is left, so that the pipe closes


@asynccontextmanager
async def _sender(url: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "encoder.cli", "test:", "--whip", url, "--size", "640x360"),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def _viewer(url: str) -> AsyncIterator[None]:
    peer = DeafPeer()
    try:
        async with WhepClient(url) as client:
            reply = await client.pull(await peer.create_offer())
            if isinstance(reply, CounterOffer):
                raise EdvrError("the receiver did not take the offer")
            await peer.set_answer(reply.answer_sdp)
            await peer.wait_connected()
            yield
    finally:
        await peer.close()
