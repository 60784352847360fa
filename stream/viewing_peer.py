"""The sending end of a session that gets media which is compressed already: one viewer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from aiortc import RTCRtpTransceiver
from aiortc.clock import current_ntp_time
from aiortc.rtp import (
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    AnyRtcpPacket,
    RtcpPsfbPacket,
)

from stream.audio import SAMPLE_RATE_HZ
from stream.coded_media import CodedQueue, CodedUnit
from stream.coded_sender import PayloadType, payload_types_of, send_coded
from stream.errors import PeerError
from stream.frame import CLOCK_HZ
from stream.ice_path import NetworkScope
from stream.peer_connection import PeerConnection, observe_rtcp, prefer_codecs
from stream.sender_reports import ReportClock
from stream.timing import Track

MAX_UNSENT_BYTES = 256_000
"""What may wait in the process's own socket buffers for one viewer before frames are skipped."""

ANSWER_TIMEOUT_S = 30.0
"""How long a counter-offer waits for its answer (draft-ietf-wish-whep-04 section 4.3)."""


class ViewingPeer(PeerConnection):
    """Sends coded pictures, and Opus if the viewer takes sound, from whoever calls `put`.

    Every viewer takes H.264; some take other codecs too, and these may follow one another. Belongs
    to one event loop. `put` before the connection stands does nothing.
    """

    def __init__(
        self,
        network: NetworkScope,
        *,
        on_keyframe_wanted: Callable[[], None],
        more_codecs: tuple[str, ...] = (),
    ) -> None:
        """on_keyframe_wanted: called when this viewer cannot go on without a keyframe.

        more_codecs: those that pictures may have beside h264, in lower case.
        """
        super().__init__(network, remote_sends=False)
        self._on_keyframe_wanted = on_keyframe_wanted
        self._video_codecs = ("h264", *more_codecs)
        self._video: RTCRtpTransceiver | None = None
        self._queues: dict[Track, CodedQueue] = {}

    @property
    def frames_dropped(self) -> int:
        """Pictures and sound that this viewer did not get since it was too slow."""
        return sum(queue.dropped for queue in self._queues.values())

    def takes(self, codec: str, *, h264_profile_idc: int | None = None) -> bool:
        """Whether this viewer can be sent such pictures; profile_idc as in H.264's SPS."""
        profiles = [
            str(each.parameters.get("profile-level-id", "42"))[:2].lower()
            for each in (self._video._codecs if self._video is not None else ())
            if each.name.lower() == codec
        ]
        if h264_profile_idc is None:
            return bool(profiles)
        return f"{h264_profile_idc:02x}" in profiles

    def skip_to_keyframe(self) -> None:
        """Drop the pictures that wait: what comes next has nothing to do with them."""
        if queue := self._queues.get(Track.VIDEO):
            queue.skip()

    def put(self, unit: CodedUnit) -> None:
        """Send a unit soon, or drop it; never waits."""
        if not self.connected.is_set():
            return
        if queue := self._queues.get(unit.track):
            queue.put(unit)
            if queue.awaits_keyframe:
                self._on_keyframe_wanted()

    async def create_offer(self) -> str:
        """As in `PeerConnection`; ends the peer when no answer follows."""
        offer = await super().create_offer()
        self._spawn(self._require_answer())
        return offer

    def _prepare(self, kinds: list[str]) -> None:
        reports = ReportClock(current_ntp_time)
        clocks = {Track.VIDEO: CLOCK_HZ, Track.AUDIO: SAMPLE_RATE_HZ}
        for track, clock_hz in clocks.items():
            if track.value not in kinds:
                continue
            transceiver = self._connection.addTransceiver(track.value, direction="sendonly")
            queue = self._queues[track] = CodedQueue()
            send_coded(
                transceiver.sender,
                queue,
                clock_hz=clock_hz,
                reports=reports,
                payload_types=partial(_payload_types, transceiver),
                is_congested=lambda: self._path.unsent_bytes > MAX_UNSENT_BYTES,
            )
            if track is Track.VIDEO:
                self._video = transceiver
                prefer_codecs(transceiver, self._video_codecs)
                observe_rtcp(transceiver.sender, self._on_rtcp)

    async def _take_remote(self, sdp: str, kind: str) -> None:
        await super()._take_remote(sdp, kind)
        if not self.takes("h264"):
            raise PeerError("the other end takes no H.264")

    def _on_rtcp(self, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpPsfbPacket) and packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
            self._on_keyframe_wanted()

    async def _require_answer(self) -> None:
        await asyncio.sleep(ANSWER_TIMEOUT_S)
        if not self.connected.is_set():
            self._end("the counter-offer was not answered")

    def _release(self) -> None:
        for queue in self._queues.values():
            queue.close()


def _payload_types(transceiver: RTCRtpTransceiver) -> Mapping[str, PayloadType]:
    return payload_types_of(transceiver._codecs)
