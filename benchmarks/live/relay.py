"""Stands on the media path between two WebRTC peers: counts every datagram, and may be a thin link.

No privileges are needed: each end is told, in the other one's session description, to send to a
socket of the relay on loopback instead of to its peer.
"""

from __future__ import annotations

import heapq
import re
import select
import socket
import threading
import time
from dataclasses import dataclass
from typing import Protocol

from benchmarks.live.wire_record import Kind, PayloadTypes, WireRecord

HOST = "127.0.0.1"
_LARGEST_DATAGRAM = 65_536
_SOCKET_BUFFER_BYTES = 1 << 20
_IDLE_S = 0.2

_CANDIDATE = re.compile(r"^(a=candidate:\S+ \d+ [uU][dD][pP] \d+) (\S+) (\d+) (.*)$", re.MULTILINE)
_MEDIA_PORT = re.compile(r"^(m=\w+) (\d+) ", re.MULTILINE)


class PathModel(Protocol):
    """What one direction of a link does to packets: `benchmarks.link.Path`, say."""

    def send(self, size_bytes: int, *, now_ms: float) -> float | None:
        """When a packet sent now arrives; None if it never does."""

    def restart_trace(self, *, now_ms: float) -> None:
        """Whatever changes over time begins (again)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Peer:
    """Address of one end, and the socket that stands for it towards the other."""

    address: tuple[str, int]
    stand_in: socket.socket
    direction: str


class MediaRelay:
    """Forwards between a sender and a receiver, in a thread of its own.

    forward: from the sender to the receiver; None hands everything on at once.
    """

    def __init__(
        self, *, forward: PathModel | None = None, backward: PathModel | None = None
    ) -> None:
        self.record = WireRecord()
        self._paths = {"forward": forward, "backward": backward}
        self._lock = threading.Lock()
        self._peers: list[_Peer] = []
        self._waiting: list[tuple[float, int, _Peer, tuple[str, int], bytes, Kind]] = []
        self._order = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="media relay", daemon=True)
        self._thread.start()

    def take_offer(self, sdp: str) -> str:
        """The sender's offer as the receiver is to get it."""
        return self._redirected(sdp, direction="forward")

    def take_answer(self, sdp: str) -> str:
        """The receiver's answer as the sender is to get it."""
        self.record.types = PayloadTypes.of(sdp)
        return self._redirected(sdp, direction="backward")

    def restart_traces(self) -> None:
        """What the path does over time begins now."""
        for path in self._paths.values():
            if path is not None:
                path.restart_trace(now_ms=_now_ms())

    def close(self) -> None:
        """Stop forwarding; callable twice."""
        self._stopping.set()
        self._thread.join(timeout=5)
        with self._lock:
            for peer in self._peers:
                peer.stand_in.close()
            self._peers = []

    def _redirected(self, sdp: str, *, direction: str) -> str:
        """Every UDP candidate is replaced by a socket of ours that stands for it."""
        ports: dict[str, str] = {}

        def replace(match: re.Match[str]) -> str:
            head, host, port, rest = match.groups()
            stand_in = self._stand_in((host, int(port)), direction)
            ports[port] = str(stand_in)
            return f"{head} {HOST} {stand_in} {rest}"

        redirected = _CANDIDATE.sub(replace, sdp)
        return _MEDIA_PORT.sub(
            lambda match: f"{match[1]} {ports.get(match[2], match[2])} ", redirected
        )

    def _stand_in(self, address: tuple[str, int], direction: str) -> int:
        with self._lock:
            for peer in self._peers:
                if peer.address == address and peer.direction == direction:
                    return int(peer.stand_in.getsockname()[1])
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
            made.bind((HOST, 0))
            made.setblocking(False)
            self._peers.append(_Peer(address=address, stand_in=made, direction=direction))
            return int(made.getsockname()[1])

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                peers = {peer.stand_in: peer for peer in self._peers}
            timeout_s = 0.02 if len(peers) < 2 else _IDLE_S
            if self._waiting:
                timeout_s = max(0.0, min(timeout_s, (self._waiting[0][0] - _now_ms()) / 1000))
            for ready in select.select(list(peers), [], [], timeout_s)[0]:
                self._receive(peers, peers[ready])
            self._deliver()

    def _receive(self, peers: dict[socket.socket, _Peer], stands_for: _Peer) -> None:
        """Take all that came to the socket standing for one end: it was sent by the other one."""
        while True:
            try:
                datagram, source = stands_for.stand_in.recvfrom(_LARGEST_DATAGRAM)
            except (BlockingIOError, ConnectionRefusedError):
                return
            origin = next((peer for peer in peers.values() if peer.address == source), None)
            if origin is None or origin.direction == stands_for.direction:
                continue  # nobody who takes part
            now_ms = _now_ms()
            kind = self.record.sent(datagram, direction=origin.direction, now_ms=now_ms)
            path = self._paths[origin.direction]
            arrival_ms = now_ms
            if path is not None:
                size = len(datagram) + 28  # as on the link: with IP and UDP headers
                arrives = path.send(size, now_ms=now_ms)
                if arrives is None:
                    self.record.lost_packets += 1
                    continue
                arrival_ms = arrives
            self._order += 1
            entry = (arrival_ms, self._order, origin, stands_for.address, datagram, kind)
            heapq.heappush(self._waiting, entry)

    def _deliver(self) -> None:
        while self._waiting and self._waiting[0][0] <= _now_ms():
            _, _, origin, destination, datagram, kind = heapq.heappop(self._waiting)
            try:
                origin.stand_in.sendto(datagram, destination)
            except OSError:
                continue  # that end is gone; its peer will find out
            if origin.direction == "forward":
                self.record.handed_over(datagram, kind, now_ms=_now_ms())


def _now_ms() -> float:
    return 1000 * time.monotonic()
