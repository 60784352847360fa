"""Numbers, paces and limits what one sending peer's transport sends, and reads its feedback.

aiortc has no hook between an RTP sender and DTLS, so methods of single transport and sender objects
are wrapped (`codecs_registry` has checked that they are made that way).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from aiortc import RTCDtlsTransport, RTCRtpSender
from aiortc.clock import current_ntp_time
from aiortc.rtcrtpparameters import RTCRtpSendParameters
from aiortc.rtp import is_rtcp

from stream import rtp_header
from stream.congestion_control import CongestionControl
from stream.errors import PeerError
from stream.packet_pacer import PacketPacer
from stream.probing import Probe
from stream.request_limits import KeyframeRequestLimit, RetransmissionLimit
from stream.twcc import EXTENSION_URI, is_transport_feedback, rtcp_packets

ABS_SEND_TIME_URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
_DEFAULT_RTT_MS = 100.0
_PROBE_CHOICE = 25
"""Probes repeat the smallest of this many newest packets: they are a price, not a purpose."""

_log = logging.getLogger(__name__)


class SendingTransport:
    """All transports of one peer that sends; belongs to one event loop.

    rtt_ms: the round trip, None while it is not known.
    """

    def __init__(
        self,
        control: CongestionControl,
        *,
        clock_ms: Callable[[], float],
        rtt_ms: Callable[[], float | None],
    ) -> None:
        self._control, self._clock_ms, self._rtt_ms = control, clock_ms, rtt_ms
        self._adopted: list[RTCDtlsTransport] = []
        self._extension_id: int | None = None
        self._send_time_id: int | None = None
        self._pacer = PacketPacer()
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._deliver: Callable[[bytes], Awaitable[None]] | None = None
        self._sends: set[asyncio.Task[None]] = set()
        self._video: RTCRtpSender | None = None
        self._retransmit: Callable[[int], Awaitable[None]] | None = None
        self._retransmissions = RetransmissionLimit()
        self._keyframes = KeyframeRequestLimit()
        self._recent: deque[tuple[int, int]] = deque(maxlen=_PROBE_CHOICE)  # (bytes, number)
        self._probe: int | None = None

    @property
    def has_feedback(self) -> bool:
        """Whether the other end takes part in transport-wide congestion control."""
        return self._extension_id is not None

    def adopt(self, transport: RTCDtlsTransport) -> None:
        """Take over a transport that is not connected yet; once is enough."""
        if any(transport is known for known in self._adopted):
            return
        self._adopted.append(transport)
        send, handle_rtcp = transport._send_rtp, transport._handle_rtcp_data
        register = transport._register_rtp_sender

        async def send_rtp(data: bytes) -> None:
            if is_rtcp(data):
                await send(data)
            elif transport.state != "connected":
                raise ConnectionError("Cannot send encrypted RTP, not connected")
            else:
                await self._send(data, send)

        async def handle_rtcp_data(data: bytes) -> None:
            rest = b"".join(p for p in rtcp_packets(data) if not self._took_feedback(p))
            if rest:
                await handle_rtcp(rest)

        def register_rtp_sender(sender: RTCRtpSender, parameters: RTCRtpSendParameters) -> None:
            for extension in parameters.headerExtensions:
                if extension.uri == EXTENSION_URI:
                    self._extension_id = extension.id
                elif extension.uri == ABS_SEND_TIME_URI:
                    self._send_time_id = extension.id
            register(sender, parameters)

        vars(transport).update(
            _send_rtp=send_rtp,
            _handle_rtcp_data=handle_rtcp_data,
            _register_rtp_sender=register_rtp_sender,
        )

    def watch_video(self, sender: RTCRtpSender) -> None:
        """Pace this sender's packets, and answer requests for more of them within limits."""
        self._video, self._retransmit = sender, sender._retransmit
        send_keyframe = sender._send_keyframe

        async def retransmit(sequence_number: int) -> None:
            if self._retransmissions.allows(
                sequence_number, rtt_ms=self._known_rtt_ms(), now_ms=self._clock_ms()
            ):
                await self._send_again(sequence_number)

        def send_keyframe_within_limits() -> None:
            if self._keyframes.allows(rtt_ms=self._known_rtt_ms(), now_ms=self._clock_ms()):
                send_keyframe()

        vars(sender).update(_retransmit=retransmit, _send_keyframe=send_keyframe_within_limits)

    def video_bps(self) -> int | None:
        """What the path leaves for the video; None without feedback."""
        video_bps = self._control.video_bps(now_ms=self._clock_ms())
        self._pacer.target_bps = video_bps
        return video_bps

    def close(self) -> None:
        """Send nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for task in self._sends:
            task.cancel()

    async def _send(self, packet: bytes, send: Callable[[bytes], Awaitable[None]]) -> None:
        ssrc = rtp_header.ssrc_of(packet)
        if self._video is None or ssrc != self._video._ssrc:
            await self._send_now(packet, send, is_video=False)
            return
        now_ms = self._clock_ms()
        self._deliver = send
        self._pacer.push(packet, timestamp=rtp_header.timestamp_of(packet), now_ms=now_ms)
        if self._timer is None:  # after aiortc has handed over the whole frame
            self._timer = asyncio.get_running_loop().call_soon(self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        send = self._deliver
        assert send is not None
        while (packet := self._pacer.pop(now_ms=self._clock_ms())) is not None:
            self._spawn(self._send_now(packet, send, is_video=True))
        next_ms = self._pacer.next_ms
        if next_ms is not None:
            delay_s = max(0.0, (next_ms - self._clock_ms()) / 1000)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._on_timer)

    async def _send_now(
        self, packet: bytes, send: Callable[[bytes], Awaitable[None]], *, is_video: bool
    ) -> None:
        now_ms = self._clock_ms()
        if is_video:
            number = rtp_header.sequence_number_of(packet)
            self._retransmissions.note_sent(number, now_ms=now_ms)
            self._recent.append((len(packet), number))
        stamps: dict[int, bytes] = {}
        if self._send_time_id is not None:
            stamps[self._send_time_id] = (current_ntp_time() >> 14 & 0xFF_FFFF).to_bytes(3, "big")
        if self._extension_id is not None:
            number = self._control.note_sent(
                len(packet), is_video=is_video, now_ms=now_ms, probe=self._probe
            )
            stamps[self._extension_id] = number.to_bytes(2, "big")
        await send(rtp_header.with_extensions(packet, stamps))

    def _took_feedback(self, packet: bytes) -> bool:
        """Whether an RTCP packet was transport feedback, which aiortc would take for NACKs."""
        if not is_transport_feedback(packet):
            return False
        try:
            probe = self._control.take_feedback(
                packet, rtt_ms=self._rtt_ms(), now_ms=self._clock_ms()
            )
        except PeerError as error:
            _log.debug("%s", error)
            return True
        self.video_bps()
        if probe is not None and self._can_probe:
            self._spawn(self._send_probe(probe))
        return True

    @property
    def _can_probe(self) -> bool:
        """Only retransmission streams can carry repeated packets."""
        known = vars(self._video) if self._video is not None else {}
        return known.get("_RTCRtpSender__rtx_payload_type") is not None

    async def _send_probe(self, probe: Probe) -> None:
        """Repeat small packets at the rate of the probe; the receiver drops them as duplicates."""
        for _ in range(probe.packets):
            if not self._recent:
                return
            size, number = min(self._recent)
            self._probe = probe.number
            try:
                await self._send_again(number)
            finally:
                self._probe = None
            await asyncio.sleep(8 * size / probe.rate_bps)

    async def _send_again(self, sequence_number: int) -> None:
        assert self._retransmit is not None
        try:
            await self._retransmit(sequence_number)
        except ConnectionError:
            _log.debug("a retransmission came too late: the connection is closed")

    def _known_rtt_ms(self) -> float:
        rtt_ms = self._rtt_ms()
        return _DEFAULT_RTT_MS if rtt_ms is None else rtt_ms

    def _spawn(self, work: Awaitable[None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except ConnectionError:
                _log.debug("a packet came too late: the connection is closed")

        task = asyncio.get_running_loop().create_task(guarded())
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)
