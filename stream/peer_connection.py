"""What both ends of a WebRTC session share: signalling, the life of the connection, closing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiortc import (
    RTCConfiguration,
    RTCDtlsTransport,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.rtp import AnyRtcpPacket

from stream.codecs_registry import check_remote_description, install, monotonic_ms
from stream.dtls import widen_ciphers
from stream.errors import PeerError
from stream.ice_path import IcePath, NetworkScope
from stream.sdp_text import one_line
from stream.session_description import (
    with_rejected_media_inactive,
    without_unusable_candidates,
)

CONNECT_TIMEOUT_S = 15.0
_ICE_PACE_S = 0.03  # aioice looks every 20 ms whether it is still wanted

_log = logging.getLogger(__name__)

install()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStats:
    """Counts since the start. Wire bytes are UDP payloads, so without UDP and IP headers.

    packets_lost: receiving, never arrived; sending, lost before retransmission as reported back.
    frames_lost: given up because of missing packets. peer_errors: packets or frames the other end
    made that cannot be used. encode_errors: frames not sent because encoding failed.
    link_bps: sending, what the path leaves for the video's RTP packets, by transport-wide feedback;
    None where the other end gives none. weight_bytes_received: receiving, of the wire's bytes
    those of weight deltas.
    """

    wire_bytes_received: int = 0
    wire_bytes_sent: int = 0
    packets_lost: int = 0
    frames_lost: int = 0
    peer_errors: int = 0
    encode_errors: int = 0
    rtt_ms: float | None = None
    codec: str | None = None
    link_bps: int | None = None
    weight_bytes_received: int = 0


class PeerConnection:
    """One aiortc connection with what both ends need around it; belongs to one event loop."""

    def __init__(self, network: NetworkScope, *, remote_sends: bool) -> None:
        # Without a list of ICE servers aiortc would ask a public STUN server of its choice.
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        widen_ciphers(self._connection)
        self._remote_sends = remote_sends
        self._path = IcePath(network, clock_ms=monotonic_ms)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None
        self.connected = asyncio.Event()
        """Set once media can flow."""
        self.closed = asyncio.Event()
        """Set when the connection has failed or ended, and everything it used is released."""
        self.close_reason: str | None = None
        """Why it ended, in words; None while it lives."""
        self._connection.on("connectionstatechange", self._on_state)

    async def close(self) -> None:
        """End the session and release its tasks, threads and sockets; any number of times."""
        self._end("closed here")
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def wait_connected(self) -> None:
        """Wait until media can flow. Raises PeerError when it ends before that."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.connected, self.closed)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self.closed.is_set():
            raise PeerError(f"no connection: {self.close_reason}")

    async def create_offer(self) -> str:
        """SDP that offers our end, complete with candidates. Raises PeerError when closed."""
        with self._signalling("offer"):
            self._prepare(["video", "audio"])
            self._adopt_ice()
            await self._connection.setLocalDescription(await self._connection.createOffer())
            return self._connection.localDescription.sdp

    async def set_answer(self, sdp: str) -> None:
        """Take the other end's answer. Raises PeerError, and ends, when it cannot be used."""
        with self._signalling("answer"):
            sdp = with_rejected_media_inactive(sdp, self._connection.localDescription.sdp)
            check_remote_description(sdp, sends=self._remote_sends)
            await self._take_remote(sdp, "answer")
            self._spawn(self._require_connection())

    async def answer(self, offer: str) -> str:
        """SDP that answers the other end's offer. Raises PeerError, and ends, on a bad one."""
        with self._signalling("offer"):
            self._prepare(check_remote_description(offer, sends=self._remote_sends))
            await self._take_remote(offer, "offer")
            self._adopt_ice()
            answer = await self._connection.createAnswer()
            await self._connection.setLocalDescription(answer)
            self._spawn(self._require_connection())
            return self._connection.localDescription.sdp

    def _prepare(self, kinds: list[str]) -> None:
        """Add what the subclass has for these kinds of media; called before any description."""

    def _adopt_transport(self, transport: RTCDtlsTransport) -> None:
        """Take over a transport before it connects."""

    async def _take_remote(self, sdp: str, kind: str) -> None:
        description = RTCSessionDescription(sdp=without_unusable_candidates(sdp), type=kind)
        await self._connection.setRemoteDescription(description)

    @contextmanager
    def _signalling(self, kind: str) -> Iterator[None]:
        """Whatever aiortc raises on a description becomes a PeerError and the end of this peer."""
        try:
            yield
        except Exception as error:
            self._end(f"the {kind} could not be used")
            if isinstance(error, PeerError):
                raise
            text = one_line(str(error)) or type(error).__name__
            raise PeerError(f"the {kind} cannot be used: {text}") from error

    def _adopt_ice(self) -> None:
        for transceiver in self._connection.getTransceivers():
            self._path.adopt(transceiver.receiver.transport.transport._connection)
            self._adopt_transport(transceiver.receiver.transport)
        if self._connection.sctp is not None:
            self._path.adopt(self._connection.sctp.transport.transport._connection)

    async def _require_connection(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self.connected.wait()
        except TimeoutError:
            self._end(f"no connection within {CONNECT_TIMEOUT_S:.0f} s")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_state(self) -> None:
        state = self._connection.connectionState
        if state == "connected":
            self.connected.set()
        elif state in ("failed", "closed"):
            self._end(self._reason())

    def _reason(self) -> str:
        if self._path.is_lost:
            return "nothing was heard from the other end"
        if not self.connected.is_set():
            return "no connection to the other end"
        return "the other end closed the session"

    def _end(self, reason: str) -> None:
        if self._closing is None:
            self.close_reason = reason
            _log.debug("peer ends: %s", reason)
            self._closing = asyncio.get_running_loop().create_task(self._shut_down())

    async def _shut_down(self) -> None:
        try:
            await self._connection.close()
        except Exception as error:  # a connection that was never complete does not close cleanly
            _log.debug("closing: %r", error)
        finally:
            if not self.connected.is_set():
                await asyncio.sleep(_ICE_PACE_S)  # aiortc's own task for connecting ends by then
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._release()
            self.closed.set()

    def _release(self) -> None:
        """Let go of what the subclass holds."""


def observe_rtcp(
    end: RTCRtpSender | RTCRtpReceiver, observe: Callable[[AnyRtcpPacket], None]
) -> None:
    """Show every RTCP packet for `end` to `observe` first; aiortc has no event for them."""
    handle = end._handle_rtcp_packet

    async def handle_rtcp_packet(packet: AnyRtcpPacket) -> None:
        observe(packet)
        await handle(packet)

    vars(end)["_handle_rtcp_packet"] = handle_rtcp_packet


def prefer_codecs(transceiver: RTCRtpTransceiver, names: tuple[str, ...]) -> None:
    """Take only these codecs (lower case), in this order, and their retransmission."""
    capabilities = RTCRtpSender.getCapabilities(transceiver.kind).codecs
    transceiver.setCodecPreferences(
        [codec for name in (*names, "rtx") for codec in capabilities if codec.name.lower() == name]
    )
