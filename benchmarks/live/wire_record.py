"""What went over the wire: every datagram by kind, and when each picture's packets passed. Pure.

RTP headers travel in the clear under SRTP (RFC 3711 section 3.1), so payload types and timestamps
can be read by whoever sits on the path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

IP_UDP_HEADER_BYTES = 28
"""IPv4 and UDP headers of a datagram, which come on top of its payload."""

_RTPMAP = re.compile(r"^a=rtpmap:(\d+) ([^/\s]+)/", re.MULTILINE)
_MEDIA = re.compile(r"^m=(\w+) \S+ \S+ ([\d ]+)", re.MULTILINE)


class Kind(Enum):
    """What a datagram is."""

    VIDEO = "video"
    RETRANSMISSION = "retransmission"
    AUDIO = "audio"
    RTCP = "rtcp"
    STUN = "stun"
    DTLS = "dtls"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadTypes:
    """Which RTP payload types stand for what in one session."""

    audio: frozenset[int] = frozenset()
    retransmission: frozenset[int] = frozenset()

    @classmethod
    def of(cls, answer_sdp: str) -> PayloadTypes:
        """Read from the answer's m= and a=rtpmap lines (RFC 8866)."""
        names = {int(number): name.lower() for number, name in _RTPMAP.findall(answer_sdp)}
        audio: set[int] = set()
        for kind, numbers in _MEDIA.findall(answer_sdp):
            if kind == "audio":
                audio |= {int(number) for number in numbers.split()}
        rtx = {number for number, name in names.items() if name == "rtx"}
        return cls(audio=frozenset(audio - rtx), retransmission=frozenset(rtx))


def kind_of(datagram: bytes, types: PayloadTypes) -> Kind:
    """Tell apart what shares one port (RFC 7983 section 7, RFC 5761 section 4)."""
    if not datagram:
        return Kind.OTHER
    first = datagram[0]
    if first <= 3:
        return Kind.STUN
    if 20 <= first <= 63:
        return Kind.DTLS
    if not 128 <= first <= 191 or len(datagram) < 8:
        return Kind.OTHER
    if 192 <= datagram[1] <= 223:
        return Kind.RTCP
    payload_type = datagram[1] & 0x7F
    if payload_type in types.audio:
        return Kind.AUDIO
    return Kind.RETRANSMISSION if payload_type in types.retransmission else Kind.VIDEO


@dataclass(slots=True, kw_only=True)
class PicturePackets:
    """The packets of one picture on their way to the receiver; times in ms, monotonic.

    first_ms: the first one left the sender; last_ms: the last one was handed to the receiver.
    """

    timestamp: int
    first_ms: float
    last_ms: float
    packets: int = 0
    bytes: int = 0


@dataclass(slots=True, kw_only=True)
class WireRecord:
    """Counts of one session. Filled by one thread, read when that has ended.

    events: (time, direction, kind, UDP payload bytes) of everything that was sent.
    """

    types: PayloadTypes = field(default_factory=PayloadTypes)
    events: list[tuple[float, str, Kind, int]] = field(default_factory=list)
    lost_packets: int = 0
    pictures: dict[int, PicturePackets] = field(default_factory=dict)

    def sent(self, datagram: bytes, *, direction: str, now_ms: float) -> Kind:
        """Note what an end has sent; direction is "forward" from the sender to the receiver."""
        kind = kind_of(datagram, self.types)
        self.events.append((now_ms, direction, kind, len(datagram)))
        if direction == "forward" and kind in (Kind.VIDEO, Kind.RETRANSMISSION):
            timestamp = int.from_bytes(datagram[4:8], "big")
            picture = self.pictures.get(timestamp)
            if picture is None:
                picture = PicturePackets(timestamp=timestamp, first_ms=now_ms, last_ms=now_ms)
                self.pictures[timestamp] = picture
            picture.packets += 1
            picture.bytes += len(datagram)
        return kind

    def handed_over(self, datagram: bytes, kind: Kind, *, now_ms: float) -> None:
        """Note that the receiver was given a datagram that travelled forward."""
        if kind in (Kind.VIDEO, Kind.RETRANSMISSION):
            self.pictures[int.from_bytes(datagram[4:8], "big")].last_ms = now_ms

    def rates_bps(self, start_ms: float, end_ms: float) -> dict[str, int]:
        """Bits a second between two times by kind, without IP and UDP headers.

        Video and audio are the sender's; everything else counts both directions. `all_with_ip` is
        everything the sender sent, with IP and UDP headers.
        """
        totals = dict.fromkeys((kind.value for kind in Kind), 0)
        with_headers = 0
        for at_ms, direction, kind, size in self.events:
            if start_ms <= at_ms < end_ms:
                totals[kind.value] += size
                if direction == "forward":
                    with_headers += size + IP_UDP_HEADER_BYTES
        scale = 8000 / (end_ms - start_ms)
        rates = {name: round(scale * total) for name, total in totals.items()}
        return rates | {"all_with_ip": round(scale * with_headers)}

    def peak_bps(self, start_ms: float, end_ms: float, *, window_ms: float = 1000.0) -> int:
        """The most forward bits a second (video and its retransmissions) in any window."""
        sent = [
            (at_ms, size)
            for at_ms, direction, kind, size in self.events
            if direction == "forward"
            and kind in (Kind.VIDEO, Kind.RETRANSMISSION)
            and start_ms <= at_ms < end_ms
        ]
        peak = total = oldest = 0
        for at_ms, size in sent:
            total += size
            while sent[oldest][0] <= at_ms - window_ms:
                total -= sent[oldest][1]
                oldest += 1
            peak = max(peak, total)
        return round(8000 * peak / window_ms)


def number_pictures(
    record: WireRecord, fed_ms: dict[int, float], *, frame_rate: float, clock_hz: int = 90_000
) -> dict[int, PicturePackets]:
    """The packets of each fed frame, by frame number.

    RTP timestamps start at random, but count at the frame rate. So one shift fits all, and it is
    the latest one that lets no picture leave before it was fed: at least one in a run of many
    leaves within a frame's duration. fed_ms: when each number was handed to the sender.
    """
    if not record.pictures or not fed_ms:
        return {}
    first = next(iter(record.pictures))
    steps = {
        timestamp: round(_signed(timestamp - first) * frame_rate / clock_hz)
        for timestamp in record.pictures
    }
    newest = max(fed_ms)
    for shift in range(newest, -newest - 1, -1):
        numbered = {steps[t] + shift: picture for t, picture in record.pictures.items()}
        known = [number for number in numbered if number in fed_ms]
        if known and all(numbered[number].first_ms >= fed_ms[number] for number in known):
            if len(known) * 2 < len(numbered):
                continue
            return {number: numbered[number] for number in known}
    return {}


def _signed(difference: int) -> int:
    return (difference + 0x80000000) % 0x100000000 - 0x80000000
