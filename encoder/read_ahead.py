"""A blocking iterator read by its own thread, so that whoever waits for it can be let go."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator
from typing import Generic, TypeVar

T = TypeVar("T")

DEPTH = 8
"""Items held at most: enough to overlap decoding with the rest, too few to add latency."""


class ReadAheadTimeout(Exception):
    """Nothing came in the time given."""


class ReadAhead(Generic[T]):
    """Runs a generator in a daemon thread; a full queue makes the generator wait (nothing is lost).

    FFmpeg cannot be interrupted from outside (PyAV only offers timeouts), so closing lets go of a
    thread that may sit in a read until that times out; it then closes the generator and ends.
    """

    def __init__(self, items: Generator[T, None, None], *, name: str) -> None:
        self._items = items
        self._queue: deque[T] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._is_finished = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def next(self, timeout_s: float | None = None) -> T | None:
        """Wait for the next item; None at the end and once closed, even from another thread.

        Raises what the generator raised, after the items before it; ReadAheadTimeout.
        """
        with self._changed:
            if not self._changed.wait_for(self._has_news, timeout_s):
                raise ReadAheadTimeout
            if self._is_closed:
                return None
            if self._queue:
                item = self._queue.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None:
                raise self._error
            return None

    def close(self, wait_s: float = 0.0) -> bool:
        """Let go of everybody who waits; returns whether the thread ended within `wait_s`."""
        with self._changed:
            self._is_closed = True
            self._queue.clear()
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _has_news(self) -> bool:
        return bool(self._queue) or self._is_finished or self._is_closed

    def _has_room(self) -> bool:
        return len(self._queue) < DEPTH or self._is_closed

    def _run(self) -> None:
        try:
            for item in self._items:
                with self._changed:
                    self._changed.wait_for(self._has_room)
                    if self._is_closed:
                        break
                    self._queue.append(item)
                    self._changed.notify_all()
            self._items.close()
        except Exception as error:  # handed over to whoever reads
            self._error = error
        finally:
            with self._changed:
                self._is_finished = True
                self._changed.notify_all()
