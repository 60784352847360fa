import asyncio
import threading

import pytest

from encoder.daemon_call import call_in_daemon
from stream.errors import ConfigError


def _unwanted(result: object) -> None:
    raise AssertionError(f"{result} was wanted")


async def test_the_result_comes_from_a_daemon_thread_of_that_name() -> None:
    def work() -> tuple[str, bool]:
        return threading.current_thread().name, threading.current_thread().daemon

    assert await call_in_daemon(work, name="opening", discard=_unwanted) == ("opening", True)


async def test_an_error_is_raised_to_the_waiter() -> None:
    def work() -> None:
        raise ConfigError("no such file")

    with pytest.raises(ConfigError, match="no such file"):
        await call_in_daemon(work, name="opening", discard=_unwanted)


async def test_a_cancelled_waiter_goes_at_once_and_the_late_result_is_discarded() -> None:
    may_end = threading.Event()
    discarded: asyncio.Queue[str] = asyncio.Queue()

    def work() -> str:
        may_end.wait(10)
        return "late"

    waiting = asyncio.create_task(
        call_in_daemon(work, name="opening", discard=discarded.put_nowait)
    )
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    may_end.set()
    async with asyncio.timeout(5):
        assert await discarded.get() == "late"


def test_a_result_after_the_end_of_the_event_loop_is_discarded_too() -> None:
    may_end, done = threading.Event(), threading.Event()
    discarded: list[str] = []

    def work() -> str:
        may_end.wait(10)
        return "late"

    def discard(result: str) -> None:
        discarded.append(result)
        done.set()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await call_in_daemon(work, name="opening", discard=discard)

    asyncio.run(give_up())
    may_end.set()
    assert done.wait(5)
    assert discarded == ["late"]
