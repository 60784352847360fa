"""Publishers and viewers that come and go, well-behaved and not, and what they leave behind.

By hand, for as long as you like: `python -m tests.churn --minutes 30`. In the end, every file is
played.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from stream.errors import PeerError
from tests.live_media import tone
from tests.live_peers import fall_silent
from tests.live_processes import Receiver
from tests.live_publisher import Publishing, live_publisher
from tests.live_viewers import viewing
from tests.marked_pictures import numbers_in

PICTURES = 20
SETTLED_S = 60.0
"""Those who vanish are noticed after some seconds."""

PATIENCE_S = 100.0
"""For pictures, on a machine with other things to do."""

PUBLISHED = range(25 * 300)
"""More pictures than anybody waits for."""

SOUND_SAMPLES = 1920
"""40 ms at a time."""

CYCLES_A_ROW = 10
SEGMENT = "30s"
"""Of pictures, of which there are none between two publishers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a process holds. sockets: of its descriptors."""

    descriptors: int
    sockets: int
    threads: int
    resident_kb: int

    @classmethod
    def of(cls, pid: int) -> Held:
        """Of a running process on Linux."""
        status = Path(f"/proc/{pid}/status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        opened = [_opened(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
        return cls(
            descriptors=len(opened),
            sockets=sum(each.startswith("socket:") for each in opened),
            threads=len(os.listdir(f"/proc/{pid}/task")),
            resident_kb=int(resident.split()[1]),
        )


def _opened(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)
    except FileNotFoundError:  # closed meanwhile
        return ""


async def _sing(publisher: Publishing) -> None:
    """Sound at the speed of life."""
    for index in PUBLISHED:
        publisher.sound.put(tone(SOUND_SAMPLES * index, samples=SOUND_SAMPLES))
        await asyncio.sleep(SOUND_SAMPLES / 48_000)


async def cycle(url: str, number: int) -> None:
    """One publisher; viewers that leave properly, vanish, and never come."""
    whep = url.replace("/whip", "/whep/live")
    async with AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(live_publisher(url, with_sound=True))
        playing = [
            asyncio.create_task(publisher.play(PUBLISHED)),
            asyncio.create_task(_sing(publisher)),
        ]
        try:
            for path in (whep, f"{whep}/lr"):
                viewer = await stack.enter_async_context(viewing(path))
                await viewer.got(PICTURES, within_s=PATIENCE_S)
            vanishing = await stack.enter_async_context(viewing(whep))
            await vanishing.got(1, within_s=PATIENCE_S)
            fall_silent(vanishing.peer)
            if number % 3 == 0:  # an offer that is answered, and then nothing
                try:
                    async with viewing(whep, said=lambda offer: offer.replace("H264", "VP9")):
                        pass
                except PeerError:
                    pass
        finally:
            for each in playing:
                each.cancel()


async def settled(receiver: Receiver) -> Held:
    """What is held once everybody has been seen to leave, and nothing has changed for a while."""
    held, steady = Held.of(receiver.process.pid), 0
    async with asyncio.timeout(SETTLED_S):
        while steady < 10:
            await asyncio.sleep(0.1)
            now = Held.of(receiver.process.pid)
            views = receiver.stats()[-1]["viewers"].values()
            is_same = (now.descriptors, now.threads) == (held.descriptors, held.threads)
            steady = steady + 1 if is_same and not any(view["viewers"] for view in views) else 0
            held = now
    return held


def _row(held: Held, counts: Path) -> str:
    tasks = counts.read_text().split()[-1]
    return (
        f"{held.descriptors:11d}  {held.sockets:7d}  {held.threads:7d}  {tasks:>5s}  "
        f"{held.resident_kb:11d}"
    )


def _play(folder: Path) -> str:
    files = sorted(folder.glob("live-*.mp4"))
    pictures = [len(numbers_in(each)) for each in files]
    assert all(pictures), pictures
    return f"{sum(pictures)} pictures play in {len(files)} files"


async def _main(minutes: float) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        counts = folder / "tasks.txt"
        arguments = ("--model", "lanczos", "--size", "320x192", "--segment", SEGMENT)
        output = ("--output", str(folder / "{stream}.mp4"))
        with (
            counts.open("wb") as file,
            Receiver(
                folder,
                *arguments,
                *output,
                stdout=file.fileno(),
                module="tests.counted_receiver",
            ) as receiver,
        ):
            url = await asyncio.to_thread(lambda: receiver.url)
            end_s, number = time.monotonic() + 60 * minutes, 0
            print("minute  cycles  descriptors  sockets  threads  tasks  resident_kb")
            while time.monotonic() < end_s:
                for _ in range(CYCLES_A_ROW):
                    await cycle(url, number)
                    number += 1
                row = await asyncio.to_thread(_row, await settled(receiver), counts)
                minute = minutes - (end_s - time.monotonic()) / 60
                print(f"{minute:6.1f}  {number:6d}  {row}", flush=True)
            assert await asyncio.to_thread(receiver.end) == 0
            assert "Traceback" not in receiver.log, receiver.log
        print(await asyncio.to_thread(_play, folder))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    asyncio.run(_main(parser.parse_args().minutes))
