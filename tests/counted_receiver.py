"""`edvr-receive` that also says what no other process can see; run by `tests.churn`.

`python -m tests.counted_receiver ARGUMENTS-OF-EDVR-RECEIVE`; how many asyncio tasks it has goes to
standard output, a line twice a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from decoder.cli import app
from decoder.receiver import run
from decoder.receiver_config import ReceiverConfig
from stream.command_line import parse_command
from stream.log import set_up_logging

INTERVAL_S = 0.5


async def _count() -> None:
    while True:
        print(len(asyncio.all_tasks()), flush=True)
        await asyncio.sleep(INTERVAL_S)


async def _main(config: ReceiverConfig) -> None:
    set_up_logging()
    counting = asyncio.create_task(_count())
    try:
        await run(config)
    finally:
        counting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await counting


if __name__ == "__main__":
    asyncio.run(_main(parse_command(app, sys.argv[1:]).arguments["config"]))
