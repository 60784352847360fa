"""Publishers come and go, and nothing of them stays behind in the receiver."""

import asyncio
import os
import threading
from pathlib import Path

from decoder.receiver import Receiver
from decoder.receiver_config import ReceiverConfig
from stream.audio import AudioChunk
from stream.buffer import LatestBuffer
from stream.config import HostPort
from stream.frame import Frame, Size
from stream.peer import NetworkScope, SendingPeer
from stream.tracks import SendingAudio, SendingVideo
from stream.whip_client import WhipClient
from tests.live_media import X264, picture, tone
from tests.live_peers import until
from tests.live_processes import Receiver as ReceiverProcess

WARM_UP_CYCLES = 3
CYCLES = 12
FRAMES = 12
MAX_GROWTH_KB = 20_000


async def _publish(url: str, *, leaves: bool = True) -> SendingPeer | None:
    """Publish some frames and sound; without `leaves` stay, for the next one to take over."""
    pictures: LatestBuffer[Frame] = LatestBuffer(FRAMES)
    sound: LatestBuffer[AudioChunk] = LatestBuffer(FRAMES)
    peer = SendingPeer(
        SendingVideo(source=pictures, encoder=X264()),
        SendingAudio(source=sound),
        NetworkScope.LOOPBACK,
    )
    client = WhipClient(url)
    await client.__aenter__()
    await peer.set_answer(await client.publish(await peer.create_offer()))
    await peer.wait_connected()
    for index in range(FRAMES):
        pictures.put(picture(index))
        sound.put(tone(1920 * index, samples=1920))
        await asyncio.sleep(0.01)
    if not leaves:
        client.session_url = None  # as a sender that crashed: it ends nothing
    await client.__aexit__()
    if not leaves:
        return peer
    await peer.close()
    return None


async def test_twelve_publishers_leave_no_descriptor_thread_or_memory_behind(
    tmp_path: Path,
) -> None:
    outputs = ("--output", str(tmp_path / "out.mp4"), "null:")
    arguments = ("--model", "lanczos", "--size", "320x192", *outputs)
    with ReceiverProcess(tmp_path, *arguments) as receiver:
        url = await asyncio.to_thread(lambda: receiver.url)
        kept: list[SendingPeer] = []
        usage: list[tuple[int, int, int]] = []
        for cycle in range(WARM_UP_CYCLES + CYCLES):
            peer = await _publish(url, leaves=cycle % 4 != 2)
            if peer is not None:
                kept.append(peer)
            if cycle in (WARM_UP_CYCLES - 1, WARM_UP_CYCLES + CYCLES - 1):
                if kept:
                    await _publish(url)  # takes over from one that stayed
                await until(lambda: _all_have_left(receiver))
                usage.append(await _settled_usage(receiver.process.pid))
        await asyncio.gather(*(peer.close() for peer in kept))
        assert await asyncio.to_thread(receiver.end) == 0
    print(usage)
    (descriptors, threads, kilobytes), after = usage
    assert after[0] <= descriptors
    assert after[1] <= threads
    assert after[2] - kilobytes < MAX_GROWTH_KB
    assert receiver.stats()[-1]["frames_restored"] > FRAMES * CYCLES // 2


async def test_a_publisher_leaves_no_task_or_thread_behind(tmp_path: Path) -> None:
    config = ReceiverConfig(
        outputs=("null:",),
        listen=HostPort(host="127.0.0.1", port=0),
        model="lanczos",
        size=Size(width=320, height=192),
        stats=tmp_path / "stats.jsonl",
    )
    before = set(asyncio.all_tasks())
    receiver = Receiver(config)
    running = asyncio.create_task(receiver.run())
    await until(lambda: receiver.url is not None)
    assert receiver.url is not None
    await _publish(receiver.url)
    await _settled()
    tasks, threads = len(asyncio.all_tasks()), _threads()
    for _ in range(3):
        await _publish(receiver.url)
    await until(lambda: len(asyncio.all_tasks()) <= tasks)
    await until(lambda: _threads() <= threads)
    receiver.stop()
    await running
    await until(lambda: set(asyncio.all_tasks()) <= before)
    assert not [each.name for each in threading.enumerate() if "restorer" in each.name]
    assert not [each.name for each in threading.enumerate() if "sink" in each.name]


def _threads() -> int:
    """All but asyncio's own pool, which may grow to its bound at any time and then stays."""
    return sum(not each.name.startswith("asyncio_") for each in threading.enumerate())


def _all_have_left(receiver: ReceiverProcess) -> bool:
    log = receiver.log
    return log.count("no longer receiving") >= log.count("stream live: receiving")


async def _settled() -> None:
    """Until the number of tasks has not changed for a while."""
    steady, count = 0, -1
    async with asyncio.timeout(8):
        while steady < 10:
            await asyncio.sleep(0.02)
            steady = steady + 1 if count == len(asyncio.all_tasks()) else 0
            count = len(asyncio.all_tasks())


async def _settled_usage(pid: int) -> tuple[int, int, int]:
    """Descriptors, threads and resident KiB, once the first two have not changed for a while."""
    steady, usage = 0, _usage(pid)
    async with asyncio.timeout(10):
        while steady < 10:
            await asyncio.sleep(0.05)
            now = _usage(pid)
            steady = steady + 1 if now[:2] == usage[:2] else 0
            usage = now
    return usage


def _usage(pid: int) -> tuple[int, int, int]:
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return (
        len(os.listdir(f"/proc/{pid}/fd")),
        int(fields["Threads"]),
        int(fields["VmRSS"].split()[0]),
    )
