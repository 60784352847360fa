"""What RTP streams pass a link, and how many pictures they carry. Pure.

RTP headers travel in the clear under SRTP (RFC 3711 section 3.1): whoever sits on the path can tell
what was never sent from what was lost.
"""

from __future__ import annotations

from dataclasses import dataclass

_UDP, _UDP_HEADER_BYTES, _RTP_HEADER_BYTES = 17, 8, 12
_RTP_VERSION = 2
_RTCP_TYPES = range(192, 224)  # RFC 5761 section 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RtpStream:
    """What one SSRC sent. size_bytes: of IP packets. pictures: different timestamps."""

    ssrc: int
    packets: int
    size_bytes: int
    pictures: int


class RtpCensus:
    """Fed every IP packet of one direction, lost ones too."""

    def __init__(self) -> None:
        self._packets: dict[int, int] = {}
        self._size_bytes: dict[int, int] = {}
        self._timestamps: dict[int, set[int]] = {}

    def add(self, packet: bytes) -> None:
        """Count an IPv4 packet, if it carries RTP."""
        if not packet:
            return
        start = 4 * (packet[0] & 0x0F) + _UDP_HEADER_BYTES
        rtp = packet[start : start + _RTP_HEADER_BYTES]
        if len(rtp) < _RTP_HEADER_BYTES or packet[9] != _UDP:
            return
        if rtp[0] >> 6 != _RTP_VERSION or rtp[1] in _RTCP_TYPES:
            return
        ssrc = int.from_bytes(rtp[8:12], "big")
        self._packets[ssrc] = self._packets.get(ssrc, 0) + 1
        self._size_bytes[ssrc] = self._size_bytes.get(ssrc, 0) + len(packet)
        self._timestamps.setdefault(ssrc, set()).add(int.from_bytes(rtp[4:8], "big"))

    def streams(self) -> list[RtpStream]:
        """In the order of their first packets."""
        return [
            RtpStream(
                ssrc=ssrc,
                packets=packets,
                size_bytes=self._size_bytes[ssrc],
                pictures=len(self._timestamps[ssrc]),
            )
            for ssrc, packets in self._packets.items()
        ]
