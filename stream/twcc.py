"""Transport-wide congestion control feedback: which packets arrived, and when. Pure.

draft-holmer-rmcat-transport-wide-cc-extensions-01: every packet of a transport carries a 16-bit
number in a header extension, whatever stream it belongs to, and the receiver reports their arrival
in RTCP transport feedback (PT 205, FMT 15).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from stream.errors import PeerError

EXTENSION_URI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
FEEDBACK_TYPE = "transport-cc"
"""As in `a=rtcp-fb`."""

RTCP_RTPFB, FMT_TRANSPORT_CC = 205, 15
DELTA_US = 250
"""Resolution of arrival times."""

MAX_PACKETS = 0x1FFF
"""Reported by one feedback packet; more than any sender here has under way. A bound on memory:
20 bytes can stand for 65535 packets."""

_REFERENCE_US = 64_000
_REFERENCE_MODULUS = 1 << 24
_HEADER = struct.Struct("!BBHLLHH")
_NOT_RECEIVED, _SMALL_DELTA, _LARGE_DELTA = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportFeedback:
    """Arrivals of the packets numbered base_sequence, base_sequence + 1, … (modulo 2^16).

    arrivals_us: a multiple of DELTA_US for each, None where it has not arrived; zero is the
    receiver's, and times wrap after WRAP_US. feedback_count: number of this feedback, modulo 256.
    """

    sender_ssrc: int
    media_ssrc: int
    base_sequence: int
    feedback_count: int
    arrivals_us: tuple[int | None, ...]


WRAP_US = _REFERENCE_US * _REFERENCE_MODULUS
"""12 days: then the reference time of feedback starts again."""


def rtcp_packets(datagram: bytes) -> Iterator[bytes]:
    """The packets of a compound RTCP datagram (RFC 3550 section 6.1); ends where it is broken."""
    while len(datagram) >= 4:
        size = 4 * (1 + int.from_bytes(datagram[2:4], "big"))
        if size > len(datagram):
            return
        yield datagram[:size]
        datagram = datagram[size:]


def is_transport_feedback(packet: bytes) -> bool:
    """Whether an RTCP packet is transport feedback."""
    return len(packet) >= 4 and packet[1] == RTCP_RTPFB and packet[0] & 0x1F == FMT_TRANSPORT_CC


def parse_feedback(packet: bytes) -> TransportFeedback:
    """Read one RTCP packet. Raises PeerError when it is no well-formed transport feedback."""
    if len(packet) < _HEADER.size + 4 or not is_transport_feedback(packet):
        raise PeerError("an RTCP packet is no transport feedback")
    _, _, _, sender_ssrc, media_ssrc, base, count = _HEADER.unpack_from(packet)
    if count > MAX_PACKETS:
        raise PeerError(f"transport feedback for {count} packets at once")
    reference, feedback_count = divmod(int.from_bytes(packet[16:20], "big"), 256)
    statuses, position = _read_statuses(packet, count)
    arrivals: list[int | None] = []
    time_us = reference * _REFERENCE_US
    for status in statuses:
        if status == _NOT_RECEIVED:
            arrivals.append(None)
            continue
        size = status  # a small delta has one byte, a large one two
        if position + size > len(packet):
            raise PeerError("transport feedback is truncated")
        delta = int.from_bytes(
            packet[position : position + size], "big", signed=status == _LARGE_DELTA
        )
        position += size
        time_us += delta * DELTA_US
        arrivals.append(time_us)
    return TransportFeedback(
        sender_ssrc=sender_ssrc,
        media_ssrc=media_ssrc,
        base_sequence=base,
        feedback_count=feedback_count,
        arrivals_us=tuple(arrivals),
    )


def serialise_feedback(feedback: TransportFeedback) -> bytes:
    """The RTCP packet that says this.

    Raises ValueError when nothing arrived, for more than MAX_PACKETS, and when two neighbouring
    arrivals are more than 8 s apart.
    """
    received = [arrival for arrival in feedback.arrivals_us if arrival is not None]
    if not received or len(feedback.arrivals_us) > MAX_PACKETS:
        raise ValueError(f"no feedback can hold {len(feedback.arrivals_us)} packets")
    reference = received[0] // _REFERENCE_US
    last_us = reference * _REFERENCE_US
    statuses: list[int] = []
    deltas = bytearray()
    for arrival in feedback.arrivals_us:
        if arrival is None:
            statuses.append(_NOT_RECEIVED)
            continue
        delta = (arrival - last_us) // DELTA_US
        last_us += delta * DELTA_US
        is_small = 0 <= delta <= 0xFF
        statuses.append(_SMALL_DELTA if is_small else _LARGE_DELTA)
        if not -0x8000 <= delta <= 0x7FFF:
            raise ValueError("arrivals are too far apart for one feedback")
        deltas += delta.to_bytes(1 if is_small else 2, "big", signed=not is_small)
    reference_and_count = (reference % _REFERENCE_MODULUS) << 8 | feedback.feedback_count % 256
    body = reference_and_count.to_bytes(4, "big") + _write_statuses(statuses) + deltas
    padding = -len(body) % 4
    if padding:
        body += bytes(padding - 1) + bytes([padding])
    words = (_HEADER.size + len(body)) // 4 - 1
    first = 0x80 | (0x20 if padding else 0) | FMT_TRANSPORT_CC
    head = _HEADER.pack(
        first,
        RTCP_RTPFB,
        words,
        feedback.sender_ssrc,
        feedback.media_ssrc,
        feedback.base_sequence,
        len(statuses),
    )
    return head + body


def _read_statuses(packet: bytes, count: int) -> tuple[list[int], int]:
    """Statuses of `count` packets, and where the deltas begin (draft, section 3.1.1 to 3.1.4)."""
    statuses: list[int] = []
    position = _HEADER.size + 4
    while len(statuses) < count:
        if position + 2 > len(packet):
            raise PeerError("transport feedback is truncated")
        chunk = int.from_bytes(packet[position : position + 2], "big")
        position += 2
        if chunk & 0x8000 == 0:  # run length
            run = min(chunk & 0x1FFF, count - len(statuses))
            if run == 0:
                raise PeerError("transport feedback has an empty run")
            statuses += [chunk >> 13] * run
        elif chunk & 0x4000 == 0:  # 14 symbols of one bit
            statuses += [chunk >> shift & 1 for shift in range(13, -1, -1)]
        else:  # 7 symbols of two bits
            statuses += [chunk >> shift & 3 for shift in range(12, -1, -2)]
    del statuses[count:]
    if any(status > _LARGE_DELTA for status in statuses):
        raise PeerError("transport feedback has a reserved status")
    return statuses, position


def _write_statuses(statuses: list[int]) -> bytes:
    """Runs where they are long, else vectors of two-bit symbols."""
    chunks = bytearray()
    position = 0
    while position < len(statuses):
        status, run = statuses[position], 1
        while position + run < len(statuses) and statuses[position + run] == status:
            run += 1
        if run >= 7 or position + run == len(statuses):  # MAX_PACKETS fit into one run
            chunks += (status << 13 | run).to_bytes(2, "big")
            position += run
            continue
        chunk = 0xC000
        for offset, symbol in enumerate(statuses[position : position + 7]):
            chunk |= symbol << (12 - 2 * offset)
        chunks += chunk.to_bytes(2, "big")
        position += 7
    return bytes(chunks)
