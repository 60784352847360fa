from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.link import RtpCensus, RtpStream


def ip_packet(payload: bytes, *, protocol: int = 17, options: int = 0) -> bytes:
    """IPv4 and UDP headers before the payload; nothing in them that is not read is filled in."""
    header = bytearray(20 + 4 * options)
    header[0] = 0x45 + options
    header[9] = protocol
    return bytes(header) + bytes(8) + payload


def rtp(ssrc: int, timestamp: int, *, second: int = 109, size: int = 100) -> bytes:
    header = bytes([0x80, second, 0, 0]) + timestamp.to_bytes(4, "big") + ssrc.to_bytes(4, "big")
    return header + bytes(size - len(header))


def test_pictures_are_counted_once_and_streams_apart() -> None:
    census = RtpCensus()
    for timestamp in (1, 1, 2, 3):
        census.add(ip_packet(rtp(7, timestamp)))
    census.add(ip_packet(rtp(7, 4, second=0x80 | 109), options=2))
    census.add(ip_packet(rtp(8, 2)))
    assert census.streams() == [
        RtpStream(ssrc=7, packets=5, size_bytes=5 * 128 + 8, pictures=4),
        RtpStream(ssrc=8, packets=1, size_bytes=128, pictures=1),
    ]


def test_nothing_but_rtp_counts() -> None:
    census = RtpCensus()
    census.add(ip_packet(rtp(7, 1), protocol=6))
    census.add(ip_packet(rtp(7, 1, second=205)))  # RTCP
    census.add(ip_packet(bytes([0, 1]) + bytes(50)))  # STUN
    census.add(ip_packet(bytes([22]) + bytes(50)))  # DTLS
    assert census.streams() == []


@given(st.binary(max_size=80))
def test_no_packet_breaks_it(packet: bytes) -> None:
    RtpCensus().add(packet)
