"""A receiver that says once a second what it costs; run by `benchmarks.viewers` as a process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

from decoder.receiver import Receiver
from decoder.receiver_config import ReceiverConfig
from stream import coded_sender
from stream.config import HostPort
from stream.frame import Size

INTERVAL_S = 0.5


class SendMeter:
    """Processor time of making, encrypting and sending single packets, by all viewers together."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.packets = 0
        send = coded_sender._Sending._send

        async def metered(*arguments: Any, **settings: Any) -> None:  # noqa: ANN401 (passed on)
            started_s = time.thread_time()  # nothing in it waits, so all of it is its own
            await send(*arguments, **settings)
            self.seconds += time.thread_time() - started_s
            self.packets += 1

        vars_of = coded_sender._Sending
        vars_of._send = metered  # type: ignore[method-assign] # only to measure


async def run(size: Size) -> None:
    """Receive, and print one JSON object after another, until standard input ends."""
    meter = SendMeter()
    config = ReceiverConfig(
        listen=HostPort(host="127.0.0.1", port=0), model="lanczos", size=size, max_viewers=1000
    )
    receiver = Receiver(config)
    running = asyncio.create_task(receiver.run())
    reading = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    while not reading.done() and not running.done():
        views = receiver._views_of("live")
        used = os.times()
        figures = {
            "url": receiver.url,
            "at_s": time.monotonic(),
            "cpu_s": used.user + used.system,
            "sending_s": meter.seconds,
            "packets": meter.packets,
            "frames_encoded": 0 if views is None else views.restored.counts().frames_encoded,
            "viewers": 0 if views is None else views.restored.counts().viewers,
        }
        print(json.dumps(figures), flush=True)
        await asyncio.sleep(INTERVAL_S)
    receiver.stop()
    await running


if __name__ == "__main__":
    width, height = sys.argv[1].split("x")
    asyncio.run(run(Size(width=int(width), height=int(height))))
