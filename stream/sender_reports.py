"""RTCP sender reports that put picture and sound in step from the first frame on.

RFC 3550 section 6.4.1: a report names one moment on the wall clock and on the track's RTP clock,
and by the reports of two tracks a receiver knows what belongs together. aiortc's own say when a
packet left, not when a frame belongs, and the first comes after a second or so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiortc import RTCRtpSender
from aiortc.rtp import RtcpSenderInfo, RtcpSrPacket


class ReportClock:
    """NTP times for the sender reports of all tracks of one peer, from their common pts."""

    def __init__(self, ntp_now: Callable[[], int]) -> None:
        self._ntp_now = ntp_now
        self._zero: int | None = None

    def ntp(self, pts: int, *, clock_hz: int) -> int:
        """64-bit NTP time (32.32 fixed point) of a pts; the first one asked for is now."""
        elapsed = (pts << 32) // clock_hz
        if self._zero is None:
            self._zero = self._ntp_now() - elapsed
        return (self._zero + elapsed) % (1 << 64)


def sender_report(sender: RTCRtpSender) -> RtcpSrPacket:
    """A report of what `sender` has sent, as aiortc would make it now."""
    private: dict[str, Any] = vars(sender)  # all of aiortc's state is private
    return RtcpSrPacket(
        ssrc=sender._ssrc,
        sender_info=RtcpSenderInfo(
            ntp_timestamp=private["_RTCRtpSender__ntp_timestamp"],
            rtp_timestamp=private["_RTCRtpSender__rtp_timestamp"],
            packet_count=private["_RTCRtpSender__packet_count"] % (1 << 32),
            octet_count=private["_RTCRtpSender__octet_count"] % (1 << 32),
        ),
    )


def report_media_time(sender: RTCRtpSender, *, clock_hz: int, clock: ReportClock) -> None:
    """Make the sender reports of `sender` say when a frame belongs, and send one with the first.

    aiortc stamps them when the last packet leaves, so encoding and queueing time of picture and
    sound, which differ, would end up in lip sync. By the time it asks for the next frame all
    packets of the last one have left, and its report fields can be put right. Until its first
    report a receiver can only go by when things arrive, and a stream's first picture comes late.
    """
    next_encoded_frame = sender._next_encoded_frame
    last_pts: int | None = None
    has_reported = False

    async def next_frame(codec: Any) -> Any:  # noqa: ANN401 (both are aiortc's private affair)
        nonlocal last_pts, has_reported
        if last_pts is not None:
            vars(sender)["_RTCRtpSender__ntp_timestamp"] = clock.ntp(last_pts, clock_hz=clock_hz)
            if not has_reported:
                has_reported = True
                await sender._send_rtcp([sender_report(sender)])
        encoded = await next_encoded_frame(codec)
        if encoded is not None:
            last_pts = encoded.timestamp
        return encoded

    vars(sender)["_next_encoded_frame"] = next_frame
