"""Media that is compressed and cut into RTP payloads already: made once, sent to many viewers."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from stream.timing import Track

MAX_QUEUED_BYTES = 1_000_000
"""What may wait for one viewer: some keyframes, or two seconds of 720p."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedUnit:
    """One frame of either track.

    codec: in lower case, as in SDP. payloads: of its RTP packets, in order. pts: in 1/90000 s
    (video) or 1/48000 s (audio), on a common zero; its low 32 bits are the RTP timestamp.
    is_keyframe: always true for sound.
    """

    track: Track
    codec: str
    payloads: tuple[bytes, ...]
    pts: int
    is_keyframe: bool

    @property
    def size_bytes(self) -> int:
        """Sum of the payloads."""
        return sum(map(len, self.payloads))


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedPicture:
    """A picture as its publisher compressed it.

    codec: in lower case. data: access units as `stream.jitter_buffer.CodedFrame` has them, those
    of pictures that are not shown before that of the one at pts (1/90000 s, its session's).
    """

    codec: str
    data: tuple[bytes, ...]
    pts: int
    is_keyframe: bool


class CodedQueue:
    """What one viewer has still to get of one track; belongs to one event loop.

    It begins with a keyframe. A viewer that is too slow loses what waits, and goes on with the
    next keyframe; others never wait for it.
    """

    def __init__(self, *, max_bytes: int = MAX_QUEUED_BYTES) -> None:
        self._max_bytes = max_bytes
        self._units: deque[CodedUnit] = deque()
        self._queued_bytes = 0
        self._awaits_keyframe = True
        self._is_closed = False
        self._arrived = asyncio.Event()
        self.dropped = 0
        """Frames that were not sent."""

    @property
    def awaits_keyframe(self) -> bool:
        """Whether nothing can be sent before the next keyframe."""
        return self._awaits_keyframe

    def put(self, unit: CodedUnit) -> None:
        """Append without ever waiting."""
        if self._is_closed:
            return
        if self._awaits_keyframe and not unit.is_keyframe:
            self.dropped += 1
            return
        if self._units and self._queued_bytes + unit.size_bytes > self._max_bytes:
            self.skip()
            if not unit.is_keyframe:
                self.dropped += 1
                return
        self._awaits_keyframe = False
        self._units.append(unit)
        self._queued_bytes += unit.size_bytes
        self._arrived.set()

    def skip(self) -> None:
        """Drop what waits, and whatever comes before the next keyframe."""
        self.dropped += len(self._units)
        self._units.clear()
        self._queued_bytes = 0
        self._awaits_keyframe = True

    async def get(self) -> CodedUnit | None:
        """The next unit, waiting for one; None at the end."""
        while not self._units:
            if self._is_closed:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        unit = self._units.popleft()
        self._queued_bytes -= unit.size_bytes
        return unit

    def close(self) -> None:
        """Drop everything and release who waits."""
        self._is_closed = True
        self.skip()
        self._arrived.set()
