"""Puts congestion control where aiortc looks: header extension, feedback type, NACK generator.

What `sending_transport` and `receiving_transport` wrap on single objects is checked here, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import aiortc.codecs
from aiortc import RTCDtlsTransport, rtcrtpreceiver, rtcrtpsender
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpHeaderExtensionParameters
from aiortc.rtp import RtpPacket

from stream import twcc
from stream.receiving_transport import NackGenerator

FEEDBACK = RTCRtcpFeedback(type=twcc.FEEDBACK_TYPE)
"""To be offered with every codec."""

_TRANSPORT_NUMBER_ID = 4  # of the header extension; aiortc uses 1 to 3
_HISTORY_PACKETS = 1024
"""Kept for retransmission; aiortc's 128 are a quarter of a second at 5 Mb/s."""

USED_NAMES: tuple[tuple[Callable[..., object], tuple[str, ...]], ...] = (
    (rtcrtpsender.RTCRtpSender._run_rtp, ("RtpPacket", "extensions", "_send_rtp")),
    (rtcrtpsender.RTCRtpSender._retransmit, ("RTP_HISTORY_SIZE", "_send_rtp")),
    (rtcrtpsender.RTCRtpSender._handle_rtcp_packet, ("_retransmit", "_send_keyframe")),
    (
        rtcrtpsender.RTCRtpSender.send,
        ("_register_rtp_sender", "_RTCRtpSender__rtx_payload_type"),
    ),
    (rtcrtpreceiver.RTCRtpReceiver.receive, ("_register_rtp_receiver",)),
    (
        rtcrtpreceiver.RTCRtpReceiver._handle_rtp_packet,
        ("_RTCRtpReceiver__remote_bitrate_estimator", "_send_rtcp_pli", "_send_rtcp_nack"),
    ),
    (RTCDtlsTransport._recv_next, ("_handle_rtcp_data", "_handle_rtp_data")),
)
"""Functions of aiortc, and the names in them that are replaced or read."""


def install_congestion_control() -> None:
    """Replace, once and for the whole process; `USED_NAMES` must have been checked."""
    for extensions in aiortc.codecs.HEADER_EXTENSIONS.values():
        extensions.append(
            RTCRtpHeaderExtensionParameters(id=_TRANSPORT_NUMBER_ID, uri=twcc.EXTENSION_URI)
        )
    vars(rtcrtpsender).update(RtpPacket=_numbered_packet, RTP_HISTORY_SIZE=_HISTORY_PACKETS)
    vars(rtcrtpreceiver).update(NackGenerator=lambda: NackGenerator(_monotonic_ms))


def _numbered_packet(**fields: int) -> RtpPacket:
    """A packet with room for the number that it gets when it leaves (`sending_transport`)."""
    packet = RtpPacket(**fields)  # type: ignore[arg-type]  # whatever aiortc gives it
    packet.extensions.transport_sequence_number = 0
    return packet


def _monotonic_ms() -> float:
    return time.monotonic() * 1000.0
