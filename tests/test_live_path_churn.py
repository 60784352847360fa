"""Publishers and viewers come and go, and nothing of them stays behind in the receiver."""

import asyncio
from pathlib import Path

from tests.churn import cycle, settled
from tests.live_processes import Receiver
from tests.marked_pictures import numbers_in

WARM_UP_CYCLES, CYCLES = 1, 2
MAX_GROWTH_KB = 25_000


async def test_viewers_that_leave_or_vanish_leave_no_descriptor_thread_or_memory_behind(
    tmp_path: Path,
) -> None:
    output = tmp_path / "out.mp4"
    arguments = ("--model", "lanczos", "--size", "320x192", "--output", str(output))
    with Receiver(tmp_path, *arguments) as receiver:
        url = await asyncio.to_thread(lambda: receiver.url)
        for number in range(WARM_UP_CYCLES):
            await cycle(url, number)
        # The output and its thread stay for the next publisher: they are no leak.
        before = await settled(receiver)
        for number in range(CYCLES):
            await cycle(url, number)
        after = await settled(receiver)
        print(before, after)
        assert after.descriptors <= before.descriptors
        assert after.threads <= before.threads
        assert after.resident_kb - before.resident_kb < MAX_GROWTH_KB
        assert await asyncio.to_thread(receiver.end) == 0
        assert "Traceback" not in receiver.log
    assert len(numbers_in(output)) > 10 * CYCLES
