"""A bounded queue that keeps the newest items: what every hand-over of live media goes through."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import Generic, TypeVar

from stream.errors import EdvrError

T = TypeVar("T")


class BufferClosed(EdvrError):
    """The buffer was closed and everything in it has been taken."""


class LatestBuffer(Generic[T]):
    """At most `capacity` items; a new one pushes the oldest out, so latency never grows.

    Any thread may call any method; `get_async` belongs to asyncio code. Raises ValueError for a
    capacity below 1.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._condition = threading.Condition()
        self._waiters: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._dropped = 0
        self._closed = False

    @property
    def capacity(self) -> int:
        """How many items fit."""
        return self._capacity

    @property
    def dropped(self) -> int:
        """How many items nobody took: pushed out, or put after closing."""
        with self._condition:
            return self._dropped

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        with self._condition:
            return self._closed

    def __len__(self) -> int:
        with self._condition:
            return len(self._items)

    def put(self, item: T) -> None:
        """Append without ever blocking; drops and counts the oldest item when full."""
        with self._condition:
            if self._closed:
                self._dropped += 1
                return
            if len(self._items) >= self._capacity:
                self._items.popleft()
                self._dropped += 1
            self._items.append(item)
            self._condition.notify()
            self._wake_one()

    def get(self, timeout_s: float | None = None) -> T | None:
        """Take the oldest item, waiting for one; None after `timeout_s` (never, without one).

        Raises BufferClosed when closed and empty.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        with self._condition:
            while not self._items:
                if self._closed:
                    raise BufferClosed("the buffer is closed")
                left_s = None if deadline_s is None else deadline_s - time.monotonic()
                if left_s is not None and left_s <= 0:
                    return None
                self._condition.wait(left_s)
            return self._items.popleft()

    async def get_async(self) -> T:
        """Take the oldest item, waiting for one without blocking the event loop.

        Raises BufferClosed when closed and empty.
        """
        loop = asyncio.get_running_loop()
        while True:
            with self._condition:
                if self._items:
                    return self._items.popleft()
                if self._closed:
                    raise BufferClosed("the buffer is closed")
                waiter: asyncio.Future[None] = loop.create_future()
                self._waiters.append((loop, waiter))
            try:
                await waiter
            except asyncio.CancelledError:
                with self._condition:
                    if (loop, waiter) in self._waiters:
                        self._waiters.remove((loop, waiter))
                    elif self._items:  # the wake-up was meant for us: hand it on
                        self._wake_one()
                raise

    def close(self) -> None:
        """Refuse further items and release everyone waiting; what is inside can still be taken."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            while self._waiters:
                self._wake_one()

    def _wake_one(self) -> None:
        while self._waiters:
            loop, waiter = self._waiters.popleft()
            try:
                loop.call_soon_threadsafe(_finish, waiter)
            except RuntimeError:  # that event loop has ended: its waiter is gone with it
                continue
            return


def _finish(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
