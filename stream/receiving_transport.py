"""Reports what arrives at one receiving peer's transport, and limits what it asks for.

aiortc has no hook for either, so methods of single transport and receiver objects are wrapped
(`codecs_registry` has checked that they are made that way).
"""

from __future__ import annotations

from collections.abc import Callable

from aiortc import RTCDtlsTransport, RTCRtpReceiver
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters

from stream import rtp_header
from stream.nack import NackRequests, NumberedPacket
from stream.receiving_codecs import ReceivingJitterBuffer
from stream.request_limits import KeyframeRequestLimit
from stream.twcc import EXTENSION_URI
from stream.twcc_history import ArrivalLog

_DEFAULT_RTT_MS = 100.0
_FEEDBACK_SSRC = 1  # of the reporter; nobody looks at it


class NackGenerator:
    """`stream.nack` as aiortc calls it: `add`, then `missing` if that was true."""

    def __init__(self, clock_ms: Callable[[], float]) -> None:
        self._clock_ms = clock_ms
        self._requests = NackRequests()
        self.missing: list[int] = []
        """What the last `add` wants asked for."""
        self.rtt_ms: Callable[[], float | None] = lambda: None

    def add(self, packet: NumberedPacket) -> bool:
        """Take a packet; whether a request should be sent now."""
        rtt_ms = self.rtt_ms()
        self.missing = self._requests.add(
            packet,
            rtt_ms=_DEFAULT_RTT_MS if rtt_ms is None else rtt_ms,
            now_ms=self._clock_ms(),
        )
        return bool(self.missing)


class ReceivingTransport:
    """All transports of one peer that receives; belongs to one event loop.

    rtt_ms: the round trip, None while it is not known.
    """

    def __init__(
        self, *, clock_ms: Callable[[], float], rtt_ms: Callable[[], float | None]
    ) -> None:
        self._clock_ms, self._rtt_ms = clock_ms, rtt_ms
        self._adopted: list[RTCDtlsTransport] = []
        self._extension_id: int | None = None
        self._log = ArrivalLog()
        self._receivers: list[RTCRtpReceiver] = []

    @property
    def gives_feedback(self) -> bool:
        """Whether the other end takes part in transport-wide congestion control."""
        return self._extension_id is not None

    def adopt(self, transport: RTCDtlsTransport) -> None:
        """Take over a transport that is not connected yet; once is enough."""
        if any(transport is known for known in self._adopted):
            return
        self._adopted.append(transport)
        handle_rtp, register = transport._handle_rtp_data, transport._register_rtp_receiver

        async def handle_rtp_data(data: bytes, arrival_time_ms: int) -> None:
            await self._report(transport, data)
            await handle_rtp(data, arrival_time_ms=arrival_time_ms)

        def register_rtp_receiver(
            receiver: RTCRtpReceiver, parameters: RTCRtpReceiveParameters
        ) -> None:
            for extension in parameters.headerExtensions:
                if extension.uri == EXTENSION_URI:
                    self._extension_id = extension.id
            register(receiver, parameters)
            self._watch(receiver)

        vars(transport).update(
            _handle_rtp_data=handle_rtp_data, _register_rtp_receiver=register_rtp_receiver
        )

    def _watch(self, receiver: RTCRtpReceiver) -> None:
        known = vars(receiver)
        generator = known.get("_RTCRtpReceiver__nack_generator")
        if isinstance(generator, NackGenerator):
            generator.rtt_ms = self._rtt_ms
        buffer = known.get("_RTCRtpReceiver__jitter_buffer")
        if isinstance(buffer, ReceivingJitterBuffer):
            buffer.rtt_ms = self._rtt_ms
        if self._extension_id is not None:
            # A sender that takes both would obey the lower of two estimates, and REMB's falls for
            # jitter.
            known["_RTCRtpReceiver__remote_bitrate_estimator"] = None
        limit, send_pli = KeyframeRequestLimit(), receiver._send_rtcp_pli

        async def send_pli_within_limits(media_ssrc: int) -> None:
            rtt_ms = self._rtt_ms()
            rtt_ms = _DEFAULT_RTT_MS if rtt_ms is None else rtt_ms
            if limit.allows(rtt_ms=rtt_ms, now_ms=self._clock_ms()):
                await send_pli(media_ssrc)

        known["_send_rtcp_pli"] = send_pli_within_limits

    async def _report(self, transport: RTCDtlsTransport, packet: bytes) -> None:
        if self._extension_id is None:
            return
        number = rtp_header.extension_of(packet, self._extension_id)
        if number is None or len(number) != 2:
            return
        now_ms = self._clock_ms()
        self._log.add(int.from_bytes(number, "big"), now_ms=now_ms)
        report = self._log.report(
            sender_ssrc=_FEEDBACK_SSRC, media_ssrc=rtp_header.ssrc_of(packet), now_ms=now_ms
        )
        if report is not None:
            try:
                await transport._send_rtp(report)
            except ConnectionError:
                return
