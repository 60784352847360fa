"""Which RTP packets to ask for again, and when (generic NACK, RFC 4585 section 6.2.1). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

GIVE_UP_MS = 300.0
"""The jitter buffer has abandoned the frame by then: what would arrive later is not asked for."""

MIN_RETRY_MS = 20.0
_RETRY_MARGIN = 1.2  # of a round trip: it varies, and the answer is paced
_MAX_MISSING = 128  # what common senders keep for retransmission


class NumberedPacket(Protocol):
    """The part of an RTP packet that is looked at."""

    @property
    def sequence_number(self) -> int:
        """16 bits."""


@dataclass(slots=True)
class _Missing:
    noticed_ms: float
    asked_ms: float


class NackRequests:
    """Finds gaps; asks for each packet at once, and again when no answer came in a round trip."""

    def __init__(self) -> None:
        self._missing: dict[int, _Missing] = {}
        self._newest: int | None = None

    @property
    def missing(self) -> list[int]:
        """Sequence numbers that may still come, oldest first."""
        return list(self._missing)

    def add(self, packet: NumberedPacket, *, rtt_ms: float, now_ms: float) -> list[int]:
        """Take a packet; the sequence numbers to ask for now."""
        number = packet.sequence_number
        if self._newest is None:
            self._newest = number
            return []
        ahead = (number - self._newest + 0x8000) % 0x10000 - 0x8000
        if ahead <= 0:
            self._missing.pop(number, None)
        else:
            gap = [(self._newest + step) % 0x10000 for step in range(1, ahead)]
            self._newest = number
            if len(gap) > _MAX_MISSING:  # a restarted stream: nobody can bring these back
                self._missing.clear()
                return []
            for lost in gap:
                self._missing[lost] = _Missing(now_ms, -float("inf"))
        self._forget(rtt_ms, now_ms)
        return self._due(rtt_ms, now_ms)

    def _forget(self, rtt_ms: float, now_ms: float) -> None:
        keep_ms = max(GIVE_UP_MS, 2 * rtt_ms)
        for number in [
            n for n, lost in self._missing.items() if now_ms - lost.noticed_ms > keep_ms
        ]:
            del self._missing[number]
        while len(self._missing) > _MAX_MISSING:
            del self._missing[next(iter(self._missing))]

    def _due(self, rtt_ms: float, now_ms: float) -> list[int]:
        due = []
        for number, lost in self._missing.items():
            is_in_time = now_ms + rtt_ms - lost.noticed_ms <= max(GIVE_UP_MS, rtt_ms)
            retry_ms = max(MIN_RETRY_MS, _RETRY_MARGIN * rtt_ms)
            if is_in_time and now_ms - lost.asked_ms >= retry_ms:
                lost.asked_ms = now_ms
                due.append(number)
        return due
