"""The sending end of a session that gets media which is compressed already: one viewer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiortc.clock import current_ntp_time
from aiortc.rtp import (
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    AnyRtcpPacket,
    RtcpPsfbPacket,
)

from stream.audio import SAMPLE_RATE_HZ
from stream.coded_media import CodedQueue, CodedUnit
from stream.coded_sender import send_coded
from stream.frame import CLOCK_HZ
from stream.ice_path import NetworkScope
from stream.peer_connection import PeerConnection, observe_rtcp, prefer_codecs
from stream.timing import Track
from stream.tracks import ReportClock

MAX_UNSENT_BYTES = 256_000
"""What may wait in the process's own socket buffers for one viewer before frames are skipped."""

ANSWER_TIMEOUT_S = 30.0
"""How long a counter-offer waits for its answer (draft-ietf-wish-whep-04 section 4.3)."""


class ViewingPeer(PeerConnection):
    """Sends coded H.264, and Opus if the viewer takes sound, from whoever calls `put`.

    Belongs to one event loop. `put` before the connection stands does nothing.
    """

    def __init__(self, network: NetworkScope, *, on_keyframe_wanted: Callable[[], None]) -> None:
        """on_keyframe_wanted: called when this viewer cannot go on without a keyframe."""
        super().__init__(network, remote_sends=False)
        self._on_keyframe_wanted = on_keyframe_wanted
        self._queues: dict[Track, CodedQueue] = {}

    @property
    def frames_dropped(self) -> int:
        """Pictures and sound that this viewer did not get since it was too slow."""
        return sum(queue.dropped for queue in self._queues.values())

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
                is_congested=lambda: self._path.unsent_bytes > MAX_UNSENT_BYTES,
            )
            if track is Track.VIDEO:
                prefer_codecs(transceiver, ("h264",))
                observe_rtcp(transceiver.sender, self._on_rtcp)

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
