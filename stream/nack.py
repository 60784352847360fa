"""Which RTP packets to ask for again (generic NACK, RFC 4585 section 6.2.1), without a clock."""

from __future__ import annotations

from typing import Protocol

RETRY_MS = 100
"""A request or its answer may be lost too; about one internet round trip."""

GIVE_UP_MS = 300
"""The jitter buffer has abandoned the frame by then."""

_MAX_MISSING = 128  # what common senders keep for retransmission
_CLOCK_HZ = 90_000


class NumberedPacket(Protocol):
    """The part of an RTP packet that is looked at."""

    @property
    def sequence_number(self) -> int:
        """16 bits."""

    @property
    def timestamp(self) -> int:
        """32 bits of the 90 kHz clock."""


class NackRequests:
    """Finds gaps and asks again and again, at most every `RETRY_MS` of media time."""

    def __init__(self) -> None:
        self.missing: dict[int, int] = {}
        """Missing sequence number -> RTP timestamp of the packet that showed the gap."""
        self._newest: int | None = None
        self._requested_at = 0

    def add(self, packet: NumberedPacket) -> bool:
        """Take a packet; True when a request for all of `missing` should be sent now."""
        number, timestamp = packet.sequence_number, packet.timestamp
        if self._newest is None:
            self._newest = number
            return False
        ahead = (number - self._newest + 0x8000) % 0x10000 - 0x8000
        if ahead <= 0:
            self.missing.pop(number, None)
            return False
        gap = [(self._newest + step) % 0x10000 for step in range(1, ahead)]
        self._newest = number
        if len(gap) > _MAX_MISSING:  # a restarted stream: nobody can bring these back
            self.missing.clear()
            return False
        self._forget(timestamp)
        self.missing.update(dict.fromkeys(gap, timestamp))
        if not self.missing:
            return False
        if not gap and abs(_elapsed_ms(self._requested_at, timestamp)) < RETRY_MS:
            return False
        self._requested_at = timestamp
        return True

    def _forget(self, timestamp: int) -> None:
        hopeless = [
            number
            for number, noticed in self.missing.items()
            if abs(_elapsed_ms(noticed, timestamp)) > GIVE_UP_MS
        ]
        for number in hopeless:
            del self.missing[number]
        while len(self.missing) > _MAX_MISSING:
            del self.missing[next(iter(self.missing))]


def _elapsed_ms(earlier: int, later: int) -> float:
    ticks = (later - earlier + 0x80000000) % 0x100000000 - 0x80000000
    return ticks * 1000 / _CLOCK_HZ
