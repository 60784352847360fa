"""Cuts the access units of any codec that is sent here into RTP payloads."""

from __future__ import annotations

from stream import rtp_av1, rtp_h264, rtp_vp8
from stream.errors import CodecError

SENT_CODECS = ("av1", "h264", "vp8")
"""Codecs with a payload format for sending, in lower case."""


class PayloadCutter:
    """One RTP stream of one codec. Raises CodecError for a codec that is not in SENT_CODECS."""

    def __init__(self, codec: str) -> None:
        if codec not in SENT_CODECS:
            raise CodecError(f"no RTP payload format for {codec}")
        self._codec = codec
        self._picture_id = 0

    def cut(self, access_unit: bytes) -> list[bytes]:
        """Payloads of one access unit (H.264: Annex B; AV1: OBUs with sizes); none of nothing."""
        if self._codec == "av1":
            return rtp_av1.packetize(access_unit)
        if self._codec == "h264":
            return rtp_h264.packetize(access_unit)
        self._picture_id += 1
        return rtp_vp8.packetize(access_unit, picture_id=self._picture_id)
