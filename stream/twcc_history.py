"""What both ends remember for transport feedback: what arrived, what was sent. Pure.

Numbers are unwrapped (they grow for ever); only packets on the wire have 16 bits.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from stream.twcc import DELTA_US, WRAP_US, TransportFeedback, parse_feedback, serialise_feedback

REPORT_INTERVAL_MS = 100.0
"""Between two feedback packets: 64 bytes each, 5 kb/s, on the way back."""

REORDERING_PACKETS = 64
"""How far back a packet that comes late is still reported."""

LONGEST_REPORT = 1024
"""Packets in one feedback; what is older than that has been of no use for long."""

SENT_PACKETS = 4096
"""How many sent packets are remembered: 8 s at 5 Mb/s."""


def unwrap(sequence: int, *, near: int) -> int:
    """The number with these 16 bits that is nearest to `near`."""
    return near + (sequence - near + 0x8000) % 0x10000 - 0x8000


class ArrivalLog:
    """What the receiving end has to report."""

    def __init__(self) -> None:
        self._arrivals_us: OrderedDict[int, int] = OrderedDict()
        self._newest: int | None = None
        self._unreported: int | None = None  # lowest number that a report must begin with
        self._next = 0  # number after the last report's end
        self._feedback_count = 0
        self._reported_ms = -float("inf")

    def add(self, sequence: int, *, now_ms: float) -> None:
        """Take a packet with this 16-bit number, which may be late or double."""
        if self._newest is None:
            self._newest = self._next = sequence
        number = unwrap(sequence, near=self._newest)
        if abs(number - self._newest) > LONGEST_REPORT:  # the sender began anew
            self._arrivals_us.clear()
            self._newest = self._next = number
            self._unreported = None
        if number in self._arrivals_us or number < self._next - REORDERING_PACKETS:
            return
        self._newest = max(self._newest, number)
        self._arrivals_us[number] = round(1000 * now_ms) // DELTA_US * DELTA_US
        self._unreported = number if self._unreported is None else min(self._unreported, number)

    def report(self, *, sender_ssrc: int, media_ssrc: int, now_ms: float) -> bytes | None:
        """The next feedback as an RTCP packet; None while there is nothing to say, or too soon."""
        if self._unreported is None or self._newest is None:
            return None
        if now_ms - self._reported_ms < REPORT_INTERVAL_MS:
            return None
        self._reported_ms = now_ms
        start = max(min(self._unreported, self._next), self._newest + 1 - LONGEST_REPORT)
        arrivals = [self._arrivals_us.get(number) for number in range(start, self._newest + 1)]
        arrivals = _near_the_last(arrivals)
        start = self._newest + 1 - len(arrivals)
        for number in [n for n in self._arrivals_us if n < self._newest - REORDERING_PACKETS]:
            del self._arrivals_us[number]
        self._next, self._unreported = self._newest + 1, None
        self._feedback_count += 1
        return serialise_feedback(
            TransportFeedback(
                sender_ssrc=sender_ssrc,
                media_ssrc=media_ssrc,
                base_sequence=start % 0x10000,
                feedback_count=self._feedback_count % 256,
                arrivals_us=tuple(arrivals),
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SentPacket:
    """What became of a packet: arrived_ms on the receiver's clock, None while it has not arrived.

    probe: number of the probe that it belongs to, None for media.
    """

    number: int
    size_bytes: int
    sent_ms: float
    arrived_ms: float | None = None
    probe: int | None = None


class SentPackets:
    """What the sending end has sent and not yet seen reported as arrived."""

    def __init__(self) -> None:
        self._packets: OrderedDict[int, SentPacket] = OrderedDict()
        self._next = 0
        self._reported_lost: set[int] = set()
        self._clock_us: int | None = None  # unwrapped time of the newest arrival

    def add(self, size_bytes: int, *, now_ms: float, probe: int | None = None) -> int:
        """Note a packet that leaves now; the 16-bit number to put on it."""
        number, self._next = self._next, self._next + 1
        self._packets[number] = SentPacket(
            number=number, size_bytes=size_bytes, sent_ms=now_ms, probe=probe
        )
        if len(self._packets) > SENT_PACKETS:
            oldest, _ = self._packets.popitem(last=False)
            self._reported_lost.discard(oldest)
        return number % 0x10000

    def take(self, packet: bytes) -> list[SentPacket]:
        """What one feedback packet says that was not known, in order of sending.

        Raises PeerError when it is malformed.
        """
        feedback = parse_feedback(packet)
        known: list[SentPacket] = []
        base = unwrap(feedback.base_sequence, near=self._next)
        for number, arrival_us in enumerate(feedback.arrivals_us, start=base):
            sent = self._packets.get(number)
            if sent is None:
                continue
            if arrival_us is not None:
                del self._packets[number]
                self._reported_lost.discard(number)
                known.append(replace(sent, arrived_ms=self._unwrapped_ms(arrival_us)))
            elif number not in self._reported_lost:
                self._reported_lost.add(number)
                known.append(sent)
        return known

    def _unwrapped_ms(self, arrival_us: int) -> float:
        if self._clock_us is None:
            self._clock_us = arrival_us
        half = WRAP_US // 2
        unwrapped = self._clock_us + (arrival_us - self._clock_us + half) % WRAP_US - half
        self._clock_us = max(self._clock_us, unwrapped)
        return unwrapped / 1000


def _near_the_last(arrivals: list[int | None]) -> list[int | None]:
    """The end of the list, from where on neighbours are at most 8 s apart, as the format needs."""
    following: int | None = None
    for index in range(len(arrivals) - 1, -1, -1):
        arrival = arrivals[index]
        if arrival is None:
            continue
        if following is not None and abs(following - arrival) > 0x7F00 * DELTA_US:
            return arrivals[index + 1 :]
        following = arrival
    return arrivals
