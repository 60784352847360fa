from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from stream.buffer import BufferClosed, LatestBuffer


def test_items_come_out_in_the_order_they_went_in() -> None:
    buffer: LatestBuffer[int] = LatestBuffer(3)
    for item in (1, 2, 3):
        buffer.put(item)
    assert [buffer.get(0) for _ in range(3)] == [1, 2, 3]
    assert buffer.dropped == 0


def test_a_full_buffer_drops_its_oldest_item_and_counts_it() -> None:
    buffer: LatestBuffer[int] = LatestBuffer(2)
    for item in range(5):
        buffer.put(item)
    assert (len(buffer), buffer.dropped) == (2, 3)
    assert buffer.get(0) == 3


def test_a_capacity_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        LatestBuffer(0)


def test_an_empty_buffer_gives_none_after_the_timeout() -> None:
    assert LatestBuffer[int](1).get(0.01) is None


def test_a_closed_buffer_gives_what_is_inside_and_then_says_so() -> None:
    buffer: LatestBuffer[int] = LatestBuffer(2)
    buffer.put(1)
    buffer.close()
    buffer.put(2)
    assert buffer.get(0) == 1
    assert buffer.dropped == 1
    with pytest.raises(BufferClosed):
        buffer.get(0)


def test_a_thread_that_waits_gets_the_item_that_another_thread_puts() -> None:
    buffer: LatestBuffer[int] = LatestBuffer(1)
    got: list[int | None] = []
    reader = threading.Thread(target=lambda: got.append(buffer.get(5)))
    reader.start()
    buffer.put(7)
    reader.join()
    assert got == [7]


def test_closing_releases_a_thread_that_waits_for_ever() -> None:
    buffer: LatestBuffer[int] = LatestBuffer(1)
    ended = threading.Event()

    def read() -> None:
        with pytest.raises(BufferClosed):
            buffer.get()
        ended.set()

    threading.Thread(target=read).start()
    buffer.close()
    assert ended.wait(5)


async def test_a_coroutine_gets_what_another_thread_puts() -> None:
    buffer: LatestBuffer[int] = LatestBuffer(4)
    waiting = asyncio.create_task(buffer.get_async())
    await asyncio.sleep(0)
    await asyncio.to_thread(buffer.put, 5)
    assert await asyncio.wait_for(waiting, 5) == 5


async def test_several_coroutines_get_one_item_each() -> None:
    buffer: LatestBuffer[int] = LatestBuffer(4)
    waiting = [asyncio.create_task(buffer.get_async()) for _ in range(3)]
    await asyncio.sleep(0)
    for item in range(3):
        buffer.put(item)
    assert sorted(await asyncio.wait_for(asyncio.gather(*waiting), 5)) == [0, 1, 2]


async def test_a_cancelled_coroutine_hands_its_wake_up_to_the_next_one() -> None:
    buffer: LatestBuffer[int] = LatestBuffer(4)
    first = asyncio.create_task(buffer.get_async())
    second = asyncio.create_task(buffer.get_async())
    await asyncio.sleep(0)
    buffer.put(1)
    first.cancel()
    assert await asyncio.wait_for(second, 5) == 1


async def test_closing_releases_every_waiting_coroutine() -> None:
    buffer: LatestBuffer[int] = LatestBuffer(1)
    waiting = [asyncio.create_task(buffer.get_async()) for _ in range(2)]
    await asyncio.sleep(0)
    buffer.close()
    outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert all(isinstance(outcome, BufferClosed) for outcome in outcomes)


def test_putting_after_the_event_loop_of_a_reader_has_ended_does_no_harm() -> None:
    buffer: LatestBuffer[int] = LatestBuffer(1)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(buffer.get_async(), 0.01)

    asyncio.run(give_up())
    gc.collect()
    buffer.put(1)
    assert buffer.get(0) == 1
