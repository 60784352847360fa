"""A receiver that says twice a second what it does; run by `benchmarks.governor` as a process.

`python -m benchmarks.watched_receiver ARGUMENTS-OF-EDVR-RECEIVE`; ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from decoder.cli import app
from decoder.receiver import Receiver
from decoder.receiver_config import ReceiverConfig
from stream.command_line import parse_command
from stream.stats import Percentiles

INTERVAL_S = 0.5

LIBRARY_THREADS = "libraries"
"""Whose threads Python does not know: those that networks are spread over, above all."""

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def thread_cpu_s() -> dict[str, float]:
    """Processor seconds so far by the name of the thread."""
    names = {str(each.native_id): each.name for each in threading.enumerate()}
    used: defaultdict[str, float] = defaultdict(float)
    for task in Path("/proc/self/task").iterdir():
        try:
            fields = (task / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        ticks = int(fields[11]) + int(fields[12])  # utime and stime, after pid and name
        used[names.get(task.name, LIBRARY_THREADS)] += ticks / _TICKS_PER_S
    return dict(used)


class Newest:
    """The values that were added to percentiles since the last call."""

    def __init__(self) -> None:
        self._taken = 0

    def take(self, values: Percentiles) -> list[float]:
        """In order; some are missing when more came than are kept."""
        new = values.count - self._taken
        self._taken = values.count
        return [round(value, 2) for value in list(values._values)[-new:]] if new else []


def figures(receiver: Receiver, newest: Newest) -> dict[str, Any]:
    """One line of what is printed. Any: values for JSON."""
    line: dict[str, Any] = {"url": receiver.url, "at_s": time.monotonic()}
    line["cpu_s"], line["process_cpu_s"] = thread_cpu_s(), sum(os.times()[:2])
    stream = receiver._streams.get("live")
    if stream is not None:
        counts = stream.pipeline.counts()
        line |= {
            "model": counts.model,
            "backend": counts.backend,
            "frames_in": counts.frames_in,
            "frames_restored": counts.frames_restored,
            "frames_dropped": counts.frames_dropped
            + sum(sink.frames_dropped for sink in counts.sinks),
            "frames_by_tier": counts.frames_by_tier,
            "total_ms": newest.take(stream.pipeline.stage_percentiles()["total"]),
        }
    return line


async def run(config: ReceiverConfig) -> None:
    """Receive, and print one JSON object after another, until standard input ends."""
    receiver, newest = Receiver(config), Newest()
    running = asyncio.create_task(receiver.run())
    reading = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    while not reading.done() and not running.done():
        print(json.dumps(figures(receiver, newest)), flush=True)
        await asyncio.sleep(INTERVAL_S)
    receiver.stop()
    await running


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="edvr-receive: %(message)s")
    asyncio.run(run(parse_command(app, sys.argv[1:]).arguments["config"]))
