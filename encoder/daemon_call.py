"""Blocking work for asyncio code that must be able to give it up."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


async def call_in_daemon(
    work: Callable[[], Result], *, name: str, discard: Callable[[Result], None]
) -> Result:
    """What `work` returns or raises, from a daemon thread called `name`.

    When cancelled it returns at once; a result that comes later goes to `discard`. Threads of
    `asyncio.to_thread` cannot be given up: the process waits for them at its end.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def deliver(deliver_to_waiter: Callable[[], None], too_late: Callable[[], None]) -> None:
        if done.done():
            too_late()
        else:
            deliver_to_waiter()

    def run() -> None:
        try:
            result = work()
        except Exception as error:
            problem = error
            with contextlib.suppress(RuntimeError):  # the event loop may have ended meanwhile
                loop.call_soon_threadsafe(
                    deliver, lambda: done.set_exception(problem), lambda: None
                )
            return
        try:
            loop.call_soon_threadsafe(
                deliver, lambda: done.set_result(result), lambda: discard(result)
            )
        except RuntimeError:  # as above
            discard(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done
