"""Publishers and viewers that come and go, well-behaved and not, and what they leave behind.

By hand, for as long as you like: `python -m tests.churn --minutes 30`.
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
from tests.live_peers import fall_silent
from tests.live_processes import Receiver
from tests.live_publisher import live_publisher
from tests.live_viewers import viewing
from tests.marked_pictures import numbers_in

PICTURES = 20
SETTLED_S = 30.0
"""Those who vanish are noticed after some seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a process holds."""

    descriptors: int
    threads: int
    resident_kb: int

    @classmethod
    def of(cls, pid: int) -> Held:
        """Of a running process on Linux."""
        status = Path(f"/proc/{pid}/status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return cls(
            descriptors=len(os.listdir(f"/proc/{pid}/fd")),
            threads=len(os.listdir(f"/proc/{pid}/task")),
            resident_kb=int(resident.split()[1]),
        )


async def cycle(url: str, number: int) -> None:
    """One publisher; viewers that leave properly, vanish, and never come."""
    whep = url.replace("/whip", "/whep/live")
    async with AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(live_publisher(url, with_sound=True))
        playing = asyncio.create_task(publisher.play(range(1000)))
        try:
            for path in (whep, f"{whep}/lr"):
                viewer = await stack.enter_async_context(viewing(path))
                await viewer.got(PICTURES)
            vanishing = await stack.enter_async_context(viewing(whep))
            await vanishing.got(1)
            fall_silent(vanishing.peer)
            if number % 3 == 0:  # an offer that is answered, and then nothing
                try:
                    async with viewing(whep, said=lambda offer: offer.replace("H264", "VP9")):
                        pass
                except PeerError:
                    pass
        finally:
            playing.cancel()


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


async def _main(minutes: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "{stream}.mp4"
        arguments = ("--model", "lanczos", "--size", "320x192", "--output", str(output))
        with Receiver(Path(folder), *arguments) as receiver:
            url = await asyncio.to_thread(lambda: receiver.url)
            end_s, number = time.monotonic() + 60 * minutes, 0
            print("minute  cycles  descriptors  threads  resident_kb")
            while time.monotonic() < end_s:
                for _ in range(10):
                    await cycle(url, number)
                    number += 1
                held = await settled(receiver)
                minute = minutes - (end_s - time.monotonic()) / 60
                print(
                    f"{minute:6.1f}  {number:6d}  {held.descriptors:11d}  {held.threads:7d}  "
                    f"{held.resident_kb:11d}",
                    flush=True,
                )
            assert await asyncio.to_thread(receiver.end) == 0
        print(f"{len(numbers_in(Path(folder) / 'live.mp4'))} pictures play in the file")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    asyncio.run(_main(parser.parse_args().minutes))
