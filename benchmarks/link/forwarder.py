"""The process between the two namespaces of a link: takes packets, holds them, hands them on.

It is a process of its own so that nothing else delays its packets. It is told what to do by lines
of JSON on standard input, answers each by one on standard output, and ends when its input does.
"""

from __future__ import annotations

import heapq
import json
import os
import select
import sys
import time
from dataclasses import asdict
from typing import Any

from benchmarks.link.namespaces import FAR_ADDRESS, MTU_BYTES, NEAR_ADDRESS, create_namespace
from benchmarks.link.path import Path, PathConfig
from benchmarks.link.rtp_census import RtpCensus

DIRECTIONS = ("forward", "backward")
_IPV4 = 4
_READS_AT_ONCE = 64


class Forwarder:
    """Both directions; `tuns` are the devices at the near and the far end."""

    def __init__(self, tuns: tuple[int, int]) -> None:
        self._tuns = tuns
        self.started_ms = _now_ms()
        self._paths = tuple(Path(PathConfig(), now_ms=self.started_ms) for _ in DIRECTIONS)
        self._censuses = tuple(RtpCensus() for _ in DIRECTIONS)
        self._waiting: list[tuple[float, int, int, bytes]] = []  # (arrives, order, tun, packet)
        self._order = 0
        self._commands = b""

    def run(self) -> None:
        """Forward until standard input ends."""
        os.set_blocking(sys.stdin.fileno(), False)
        watched = [*self._tuns, sys.stdin.fileno()]
        while True:
            timeout_s = None
            if self._waiting:
                timeout_s = max(0.0, (self._waiting[0][0] - _now_ms()) / 1000)
            ready = select.select(watched, [], [], timeout_s)[0]
            for direction, tun in enumerate(self._tuns):
                if tun in ready:
                    self._take(direction)
            self._deliver()
            if sys.stdin.fileno() in ready and not self._obey():
                return

    def _take(self, direction: int) -> None:
        for _ in range(_READS_AT_ONCE):
            try:
                packet = os.read(self._tuns[direction], MTU_BYTES)
            except BlockingIOError:
                return
            if not packet or packet[0] >> 4 != _IPV4:
                continue  # the kernel's own IPv6 chatter would shift the seeded losses
            self._censuses[direction].add(packet)
            arrival_ms = self._paths[direction].send(len(packet), now_ms=_now_ms())
            if arrival_ms is not None:
                self._order += 1
                destination = self._tuns[1 - direction]
                heapq.heappush(self._waiting, (arrival_ms, self._order, destination, packet))

    def _deliver(self) -> None:
        while self._waiting and self._waiting[0][0] <= _now_ms():
            _, _, tun, packet = heapq.heappop(self._waiting)
            os.write(tun, packet)

    def _obey(self) -> bool:
        """Carry out what was read; False at the end of the input."""
        read = os.read(sys.stdin.fileno(), 65_536)
        self._commands += read
        while b"\n" in self._commands:
            line, _, self._commands = self._commands.partition(b"\n")
            print(json.dumps(self._answer(json.loads(line))), flush=True)
        return bool(read)

    def _answer(self, command: dict[str, Any]) -> dict[str, Any]:
        now_ms = _now_ms()
        for name, path in zip(DIRECTIONS, self._paths, strict=True):
            if name in command:
                path.configure(PathConfig.from_json(command[name]))
                path.restart_trace(now_ms=now_ms)
        if command.get("restart"):
            for path in self._paths:
                path.restart_trace(now_ms=now_ms)
        answer: dict[str, Any] = {"now_ms": now_ms - self.started_ms}
        if command.get("record"):
            for name, path in zip(DIRECTIONS, self._paths, strict=True):
                answer[name] = [asdict(interval) for interval in path.intervals()]
            answer["streams"] = [asdict(stream) for stream in self._censuses[0].streams()]
        return answer


def main() -> int:
    """Create the link, say where it is, forward."""
    try:
        near = create_namespace(address=NEAR_ADDRESS)
        far = create_namespace(address=FAR_ADDRESS)
    except OSError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 1
    forwarder = Forwarder((near.tun_fd, far.tun_fd))
    ready = {
        "near": f"/proc/{os.getpid()}/fd/{near.namespace_fd}",
        "far": f"/proc/{os.getpid()}/fd/{far.namespace_fd}",
        "started_ms": forwarder.started_ms,
    }
    print(json.dumps(ready), flush=True)
    forwarder.run()
    return 0


def _now_ms() -> float:
    return 1000 * time.monotonic()


if __name__ == "__main__":
    raise SystemExit(main())
