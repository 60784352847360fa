"""The bounded queue in front of a sink: newest frames win, both tracks leave in order of time."""

from __future__ import annotations

import threading
from collections import deque

from stream.audio import SAMPLE_RATE_HZ, AudioChunk
from stream.errors import EdvrError
from stream.frame import CLOCK_HZ, Frame

_AUDIO_CHUNKS = 500
"""10 s of 20 ms chunks, 2 MB: sound is small, so it gives way only when a sink hangs."""


class QueueEnded(EdvrError):
    """The queue was closed and everything in it has been taken."""


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
                if self._closed or len(self._frames) >= self._capacity:
                    self._frames_dropped += 1
                if not self._closed:
                    if len(self._frames) >= self._capacity:
                        self._frames.popleft()
                    self._frames.append(item)
            else:
                if self._closed or len(self._chunks) >= _AUDIO_CHUNKS:
                    self._chunks_dropped += 1
                if not self._closed:
                    if len(self._chunks) >= _AUDIO_CHUNKS:
                        self._chunks.popleft()
                    self._chunks.append(item)
            self._condition.notify()

    def get(self) -> Frame | AudioChunk:
        """Wait for and take the earlier one of the oldest frame and the oldest chunk.

        Raises QueueEnded when closed and empty.
        """
        with self._condition:
            while not self._frames and not self._chunks:
                if self._closed:
                    raise QueueEnded("the queue is closed")
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
