"""The bounded queue in front of a sink: newest frames win, both tracks leave in order of time."""

from __future__ import annotations

import threading
from collections import deque
from typing import TypeVar

from stream.audio import SAMPLE_RATE_HZ, AudioChunk
from stream.buffer import BufferClosed
from stream.frame import CLOCK_HZ, Frame

_AUDIO_CHUNKS = 500
"""10 s of 20 ms chunks, 2 MB: sound is small, so it gives way only when a sink hangs."""


Item = TypeVar("Item", Frame, AudioChunk)


class SinkQueue:
    """At most `capacity` frames and 10 s of sound; any thread may call any method."""

    def __init__(self, *, capacity: int) -> None:
        """Raises ValueError for a capacity below 1."""
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self._capacity = capacity
        self._frames: deque[Frame] = deque()
        self._chunks: deque[AudioChunk] = deque()
        self._condition = threading.Condition()
        self._closed = False
        self._frames_dropped = 0
        self._chunks_dropped = 0

    @property
    def frames_dropped(self) -> int:
        """Frames that never left by `get`: pushed out by newer ones, cleared, or put too late."""
        with self._condition:
            return self._frames_dropped

    @property
    def chunks_dropped(self) -> int:
        """The same for chunks of sound."""
        with self._condition:
            return self._chunks_dropped

    def put(self, item: Frame | AudioChunk) -> None:
        """Append without ever blocking; the oldest of the same kind goes when there is no room."""
        with self._condition:
            if isinstance(item, Frame):
                self._frames_dropped += self._append(self._frames, item, self._capacity)
            else:
                self._chunks_dropped += self._append(self._chunks, item, _AUDIO_CHUNKS)
            self._condition.notify()

    def get(self) -> Frame | AudioChunk:
        """Wait for and take the earlier one of the oldest frame and the oldest chunk.

        Raises BufferClosed when closed and empty.
        """
        with self._condition:
            while not self._frames and not self._chunks:
                if self._closed:
                    raise BufferClosed("the queue is closed")
                self._condition.wait()
            if not self._chunks:
                return self._frames.popleft()
            if not self._frames:
                return self._chunks.popleft()
            frame_time = self._frames[0].pts * SAMPLE_RATE_HZ
            if frame_time <= self._chunks[0].pts * CLOCK_HZ:
                return self._frames.popleft()
            return self._chunks.popleft()

    def clear(self) -> None:
        """Drop everything inside."""
        with self._condition:
            self._frames_dropped += len(self._frames)
            self._chunks_dropped += len(self._chunks)
            self._frames.clear()
            self._chunks.clear()

    def close(self) -> None:
        """Refuse further items; what is inside can still be taken."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _append(self, items: deque[Item], item: Item, capacity: int) -> int:
        """How many items were dropped for it, or it itself: 0 or 1."""
        if self._closed:
            return 1
        items.append(item)
        if len(items) <= capacity:
            return 0
        items.popleft()
        return 1
