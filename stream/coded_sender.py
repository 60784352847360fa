"""Sends coded units through an aiortc sender, past its encoders and its executor threads.

aiortc compresses for each peer anew and draws a random offset for RTP timestamps. Units that are
compressed once for many peers go out here with their own pts as RTP timestamp, so that a viewer
can match pictures of two sessions. Retransmission and reports stay aiortc's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiortc import RTCRtpSender, clock
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtp import RTP_HISTORY_SIZE, RtpPacket

from stream.coded_media import CodedQueue, CodedUnit
from stream.sender_reports import ReportClock, sender_report

BURST_PACKETS = 40
"""Packets that leave at once; a larger frame is spread so that it fits into routers' queues."""

PAUSE_S = 0.004

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadType:
    """Of a codec's packets, and of those that are sent again (RFC 4588; None: as they were)."""

    media: int
    retransmission: int | None


def payload_types_of(codecs: Iterable[RTCRtpCodecParameters]) -> dict[str, PayloadType]:
    """By lower-case name, from what was negotiated; of several profiles the preferred one's."""
    codecs = tuple(codecs)
    again = {
        codec.parameters.get("apt"): codec.payloadType
        for codec in codecs
        if codec.name.lower() == "rtx"
    }
    types: dict[str, PayloadType] = {}
    for codec in codecs:
        if codec.name.lower() != "rtx" and codec.payloadType is not None:
            media = codec.payloadType
            types.setdefault(
                codec.name.lower(), PayloadType(media=media, retransmission=again.get(media))
            )
    return types


def send_coded(
    sender: RTCRtpSender,
    queue: CodedQueue,
    *,
    clock_hz: int,
    reports: ReportClock,
    payload_types: Callable[[], Mapping[str, PayloadType]],
    is_congested: Callable[[], bool],
) -> None:
    """Let `sender` send what is put into `queue`, once it is started, until that is closed.

    reports: gives both tracks of a peer their common NTP times. payload_types: by codec, of what
    the other end takes; asked once that is agreed on. is_congested: whether packets
    already wait in this process, so that no more should be made.
    """
    private: dict[str, Any] = vars(sender)  # all of aiortc's state is private

    async def run_rtp(codec: RTCRtpCodecParameters) -> None:
        private["_RTCRtpSender__rtp_started"].set()
        try:
            await _Sending(sender, payload_types(), clock_hz, reports).run(queue, is_congested)
        except (asyncio.CancelledError, ConnectionError, MediaStreamError):
            pass
        except Exception:  # without the event below, aiortc could never close this peer
            _log.exception("sending to a viewer failed")
        queue.close()
        private["_RTCRtpSender__rtp_exited"].set()

    private["_run_rtp"] = run_rtp


class _Sending:
    """The RTP state of one sender while it runs."""

    def __init__(
        self,
        sender: RTCRtpSender,
        payload_types: Mapping[str, PayloadType],
        clock_hz: int,
        reports: ReportClock,
    ) -> None:
        self._sender = sender
        self._private: dict[str, Any] = vars(sender)
        self._payload_types = payload_types
        self._clock_hz = clock_hz
        self._reports = reports
        # In the lower half, since SRTP guesses the rollover of early packets (RFC 3711, 3.3.1).
        self._sequence_number = sender._ssrc % 0x8000
        self._has_reported = False

    async def run(self, queue: CodedQueue, is_congested: Callable[[], bool]) -> None:
        while (unit := await queue.get()) is not None:
            if is_congested():
                queue.skip()
                continue
            payload_type = self._payload_types[unit.codec]
            self._private.update(
                # Both times at once, as aiortc may report between two packets of a unit.
                _RTCRtpSender__ntp_timestamp=self._ntp(unit),
                _RTCRtpSender__rtp_timestamp=unit.pts % (1 << 32),
                _RTCRtpSender__rtx_payload_type=payload_type.retransmission,
            )
            for index, payload in enumerate(unit.payloads):
                if index and index % BURST_PACKETS == 0:
                    await asyncio.sleep(PAUSE_S)
                packet = RtpPacket(
                    payload_type=payload_type.media,
                    sequence_number=self._sequence_number,
                    timestamp=unit.pts % (1 << 32),
                    marker=int(index == len(unit.payloads) - 1),
                    payload=payload,
                )
                await self._send(packet)
            if not self._has_reported:
                # The usual reports begin after a second: too late for picture and sound to start
                # in step.
                self._has_reported = True
                await self._sender._send_rtcp([sender_report(self._sender)])

    async def _send(self, packet: RtpPacket) -> None:
        packet.ssrc = self._sender._ssrc
        packet.extensions.abs_send_time = (clock.current_ntp_time() >> 14) & 0x00FFFFFF
        packet.extensions.mid = self._private["_RTCRtpSender__mid"]
        history = self._private["_RTCRtpSender__rtp_history"]
        history[self._sequence_number % RTP_HISTORY_SIZE] = packet
        self._sequence_number = (self._sequence_number + 1) % (1 << 16)
        data = packet.serialize(self._private["_RTCRtpSender__rtp_header_extensions_map"])
        await self._sender.transport._send_rtp(data)
        self._private["_RTCRtpSender__octet_count"] += len(packet.payload)
        self._private["_RTCRtpSender__packet_count"] += 1

    def _ntp(self, unit: CodedUnit) -> int:
        return self._reports.ntp(unit.pts, clock_hz=self._clock_hz)
