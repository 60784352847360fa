"""The two ends of a WebRTC session: one sends video and sound, the other receives them.

Everything here runs on one asyncio event loop; what comes in is put into bounded buffers that any
thread can read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiortc import MediaStreamTrack, RTCDtlsTransport
from aiortc.clock import current_ntp_time
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import AnyRtcpPacket, RtcpRrPacket, RtcpSrPacket

from stream.audio import AudioChunk
from stream.buffer import LatestBuffer
from stream.codecs_registry import monotonic_ms, read_agreement
from stream.coded_media import CodedPicture
from stream.congestion_control import CongestionControl, SendingLimits
from stream.frame import Frame
from stream.ice_path import NetworkScope as NetworkScope
from stream.peer_connection import PeerConnection, observe_rtcp, prefer_codecs
from stream.peer_connection import PeerStats as PeerStats
from stream.receiving_codecs import ReceiveCounts, ReceivedAudio, ReceivedVideo
from stream.receiving_transport import ReceivingTransport
from stream.sender_reports import ReportClock, report_media_time
from stream.sending_codecs import SendCounters, VideoAgreement
from stream.sending_transport import SendingTransport
from stream.timing import MediaClock, SenderReport, Track
from stream.tracks import (
    AudioTrack,
    SendingAudio,
    SendingVideo,
    VideoTrack,
)
from stream.weight_channel import ReceivingWeights, SendingWeights

_log = logging.getLogger(__name__)

VIDEO_BUFFER_FRAMES = 12
"""Room for what comes at once after a retransmission (300 ms at 30 frames a second)."""

AUDIO_BUFFER_CHUNKS = 250
"""5 s of 20 ms packets: sound waits for its pictures to be restored."""

QUIET_S, SETTLE_S, _SETTLE_STEP_S = 0.06, 0.5, 0.01
"""At the end of a session: without a frame for so long nothing more is coming; and the limit."""


class SendingPeer(PeerConnection):
    """Sends one video stream, and sound if there is any."""

    def __init__(
        self,
        video: SendingVideo,
        audio: SendingAudio | None,
        network: NetworkScope,
        *,
        with_weights: bool = False,
    ) -> None:
        """with_weights: offer a channel for weight deltas, too."""
        super().__init__(network, remote_sends=False)
        self._counters = SendCounters()
        self._video = video
        self._audio = audio
        self.weights = SendingWeights(self._connection) if with_weights else None
        self._ssrcs: set[int] = set()
        self._packets_lost: dict[int, int] = {}
        limits = SendingLimits(
            start_video_bps=video.start_bps,
            max_video_bps=video.max_bps,
            audio_bps=0 if audio is None else audio.bitrate_bps,
        )
        self._transport = SendingTransport(
            CongestionControl(limits), clock_ms=monotonic_ms, rtt_ms=lambda: self._path.rtt_ms
        )

    def stats(self) -> PeerStats:
        """Counts so far."""
        return PeerStats(
            wire_bytes_received=self._path.bytes_received,
            wire_bytes_sent=self._path.bytes_sent,
            packets_lost=sum(self._packets_lost.values()),
            encode_errors=self._counters.encode_errors,
            rtt_ms=self._path.rtt_ms,
            codec=self._negotiated_codec(),
            link_bps=self._transport.video_bps(),
        )

    def _adopt_transport(self, transport: RTCDtlsTransport) -> None:
        self._transport.adopt(transport)

    def _release(self) -> None:
        self._transport.close()

    def _prepare(self, kinds: list[str]) -> None:
        clock = ReportClock(current_ntp_time)
        tracks: list[VideoTrack | AudioTrack] = []
        if "video" in kinds:
            tracks.append(VideoTrack(self._video, self._counters))
        if self._audio is not None and "audio" in kinds:
            tracks.append(AudioTrack(self._audio, self._counters))
        for track in tracks:
            transceiver = self._connection.addTransceiver(track, direction="sendonly")
            report_media_time(transceiver.sender, clock_hz=track.clock_hz, clock=clock)
            observe_rtcp(transceiver.sender, self._on_rtcp)
            self._ssrcs.add(transceiver.sender._ssrc)
            if track.kind == "video":
                prefer_codecs(transceiver, self._video.codecs)
                self._transport.watch_video(transceiver.sender)

    def _on_rtcp(self, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for report in packet.reports:
                if report.ssrc in self._ssrcs:
                    self._packets_lost[report.ssrc] = max(0, report.packets_lost)

    def agreement(self) -> VideoAgreement | None:
        """What both ends agreed on for video; None before they did."""
        for transceiver in self._connection.getTransceivers():
            if transceiver.kind == "video" and transceiver.currentDirection is not None:
                return read_agreement(transceiver._codecs, offered=self._video.codecs)
        return None

    def _negotiated_codec(self) -> str | None:
        agreement = self.agreement()
        return None if agreement is None else agreement.codec.name


class ReceivingPeer(PeerConnection):
    """Receives one video stream, and sound if there is any.

    `video` and `audio` drop their oldest items when nobody takes them, and are closed at the end.
    Sound has gaps where packets were lost or the sender was silent: pts tells.
    """

    def __init__(
        self,
        network: NetworkScope,
        *,
        video_capacity: int = VIDEO_BUFFER_FRAMES,
        audio_capacity: int = AUDIO_BUFFER_CHUNKS,
    ) -> None:
        super().__init__(network, remote_sends=True)
        self.video: LatestBuffer[Frame] = LatestBuffer(video_capacity)
        self.audio: LatestBuffer[AudioChunk] = LatestBuffer(audio_capacity)
        self.on_coded: Callable[[CodedPicture], None] | None = None
        """Called on the event loop with what each picture was decoded from."""
        self.weights = ReceivingWeights(self._connection, on_misuse=self._end)
        self._clock = MediaClock()
        self._codec: str | None = None
        self._counts: dict[Track, ReceiveCounts] = {}
        self._taken = 0  # frames and chunks
        self._connection.on("track", self._on_track)
        self._transport = ReceivingTransport(
            clock_ms=monotonic_ms, rtt_ms=lambda: self._path.rtt_ms
        )

    def stats(self) -> PeerStats:
        """Counts so far."""
        counts = self._counts.values()
        return PeerStats(
            wire_bytes_received=self._path.bytes_received,
            wire_bytes_sent=self._path.bytes_sent,
            packets_lost=sum(count.packets_lost for count in counts),
            frames_lost=self._counts.get(Track.VIDEO, ReceiveCounts()).frames_lost,
            peer_errors=sum(count.peer_errors for count in counts),
            rtt_ms=self._path.rtt_ms,
            codec=self._codec,
            weight_bytes_received=self.weights.bytes_received,
        )

    def _prepare(self, kinds: list[str]) -> None:
        for kind in Track:
            if kind.value in kinds:
                transceiver = self._connection.addTransceiver(kind.value, direction="recvonly")
                if kind is Track.VIDEO:
                    prefer_codecs(transceiver, ("av1", "h264", "vp9", "vp8"))

    def _adopt_transport(self, transport: RTCDtlsTransport) -> None:
        self._transport.adopt(transport)

    def _on_track(self, track: MediaStreamTrack) -> None:
        kind = Track(track.kind)
        if kind in self._counts:
            self._spawn(self._discard(track))
            return
        self._counts[kind] = ReceiveCounts()
        for receiver in self._connection.getReceivers():
            if receiver.track is track:
                observe_rtcp(receiver, lambda packet: self._on_rtcp(kind, packet))
        self._spawn(self._drain(track))

    def request_keyframe(self) -> None:
        """Ask the sender for a keyframe, once; it may not listen."""
        for receiver in self._connection.getReceivers():
            if receiver.track.kind == "video":
                for source in receiver.getSynchronizationSources():
                    self._spawn(receiver._send_rtcp_pli(source.source))

    def video_pts(self, rtp_timestamp: int) -> int | None:
        """The pts of the frame with this RTP timestamp, past or to come; None before the first."""
        return self._clock.video_pts(rtp_timestamp)

    async def settle(self) -> None:
        """Wait until what has arrived is decoded, half a second at most.

        A sender says goodbye right behind its last packets, which may still be in the jitter
        buffer's or the codec's hands.
        """
        taken, steady_s, waited_s = -1, 0.0, 0.0
        while not self.closed.is_set() and steady_s < QUIET_S and waited_s < SETTLE_S:
            steady_s = steady_s + _SETTLE_STEP_S if taken == self._taken else 0.0
            taken = self._taken
            await asyncio.sleep(_SETTLE_STEP_S)
            waited_s += _SETTLE_STEP_S

    async def _take_remote(self, sdp: str, kind: str) -> None:
        await super()._take_remote(sdp, kind)
        self.weights.watch()

    async def _drain(self, track: MediaStreamTrack) -> None:
        """Move everything out of aiortc's unbounded queue at once, on our clock."""
        try:
            while True:
                self._take(await track.recv())
        except MediaStreamError:
            if track.kind == "video":
                self._end(self._reason())

    async def _discard(self, track: MediaStreamTrack) -> None:
        """A second track of a kind is decoded by aiortc all the same; keep its queue empty."""
        try:
            while True:
                await track.recv()
        except MediaStreamError:
            return

    def _take(self, received: object) -> None:
        self._taken += 1
        match received:
            case ReceivedVideo(frame=frame, coded=coded, codec=codec, counts=counts):
                self._codec = codec
                self._counts[Track.VIDEO] = counts
                jumps = self._clock.jumps
                pts = self._clock.video(frame.pts, arrived_ms=frame.entered_ms or 0.0)
                if self._clock.jumps > jumps and jumps.bit_count() <= 1:  # 1st, 2nd, 3rd, 5th, 9th
                    _log.info("timestamps of the pictures jumped; they go on without a gap")
                if pts is not None:
                    self.video.put(frame.at(pts))
                    if self.on_coded is not None:
                        data = tuple(each.data for each in coded)
                        self.on_coded(
                            CodedPicture(
                                codec=codec, data=data, pts=pts, is_keyframe=frame.is_keyframe
                            )
                        )
            case ReceivedAudio(chunk=chunk, counts=counts):
                self._counts[Track.AUDIO] = counts
                pts = self._clock.audio(
                    chunk.pts, samples=len(chunk.samples), arrived_ms=chunk.entered_ms or 0.0
                )
                if pts is not None:
                    self.audio.put(
                        AudioChunk(samples=chunk.samples, pts=pts, entered_ms=chunk.entered_ms)
                    )

    def _on_rtcp(self, track: Track, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpSrPacket):
            info = packet.sender_info
            report = SenderReport(ntp=info.ntp_timestamp, rtp_timestamp=info.rtp_timestamp)
            self._clock.sender_report(track, report)

    def _release(self) -> None:
        self.video.close()
        self.audio.close()
        self.weights.close()
