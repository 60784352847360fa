"""Spreads the packets of a frame over part of its frame interval, so that they do not queue. Pure.

A keyframe sent at once fills the queue of a thin link, or is dropped by a short one. A wide link is
not waited for: at PACING_FACTOR times the target rate everything may go.
"""

from __future__ import annotations

from collections import deque

PACING_FACTOR = 2.5
"""As libwebrtc paces: bursts stay below what a link that carries the target can take."""

SPREAD = 0.8
"""Share of the frame interval in which all packets of a frame have left: the next one comes."""

SHORTEST_INTERVAL_MS, LONGEST_INTERVAL_MS = 8.0, 50.0
_LATE_TIMER_MS = 5.0
_CLOCK_HZ = 90_000


class PacketPacer:
    """Serialised packets of one video stream in, the same out at their time, in order."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._timestamp: int | None = None
        self._interval_ms = LONGEST_INTERVAL_MS
        self._deadline_ms = 0.0
        self._next_ms = 0.0
        self.target_bps: float | None = None
        """Rate aimed at for the stream; None while it is not known."""

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, packet: bytes, *, timestamp: int, now_ms: float) -> None:
        """Take a packet of the frame with this RTP timestamp (90 kHz, 32 bit).

        All packets of a frame are to be pushed before the first is popped.
        """
        if timestamp != self._timestamp:
            if self._timestamp is not None:
                ticks = (timestamp - self._timestamp) % 0x1_0000_0000
                interval_ms = 1000 * ticks / _CLOCK_HZ
                self._interval_ms = max(SHORTEST_INTERVAL_MS, min(LONGEST_INTERVAL_MS, interval_ms))
            self._timestamp = timestamp
            self._deadline_ms = now_ms + SPREAD * self._interval_ms
        self._waiting.append(packet)
        self._waiting_bytes += len(packet)

    def pop(self, *, now_ms: float) -> bytes | None:
        """The next packet, if it is time for it."""
        if not self._waiting or now_ms < self._next_ms:
            return None
        left_ms = max(0.0, self._deadline_ms - now_ms)
        packet = self._waiting.popleft()
        gap_ms = left_ms * len(packet) / self._waiting_bytes
        if self.target_bps:
            gap_ms = min(gap_ms, 8000 * len(packet) / (PACING_FACTOR * self.target_bps))
        self._waiting_bytes -= len(packet)
        # From when it was due, so that late timers do not add up.
        due_ms = self._next_ms if now_ms - self._next_ms < _LATE_TIMER_MS else now_ms
        self._next_ms = due_ms + gap_ms
        return packet

    @property
    def next_ms(self) -> float | None:
        """When to call `pop` again; None while nothing waits."""
        return self._next_ms if self._waiting else None
