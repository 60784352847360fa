"""Why there is no forward error correction: what it would bring beside retransmissions, and cost.

`python -m benchmarks.fec_choice [--json FILE]` sends a thin video over a path that loses packets by
chance, both ways: with what the product does (`stream.nack` and `stream.request_limits`, which
decide what is asked for and sent again), and with one XOR packet for every few (as ULPFEC, RFC
5109, and FlexFEC, RFC 8627, make them). Pure and seeded; pictures count when all their packets are
there before the receiver gives them up.
"""

from __future__ import annotations

import argparse
import heapq
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.result_file import write_result
from stream.nack import NackRequests, patience_ms
from stream.request_limits import RetransmissionLimit

ROUND_TRIPS_MS = (50.0, 100.0, 200.0, 300.0)
LOSS_RATIOS = (0.01, 0.03, 0.05)
GROUPS: tuple[int | None, ...] = (None, 8, 4, 2)
"""Packets for each that protects them; None for retransmissions instead."""

FRAMES = 6_000
FRAME_MS = 40.0
FRAME_BYTES, LARGE_FRAME_BYTES, LARGE_EVERY = 700, 4_000, 50
"""150 kb/s at 25 a second: a frame is a packet, but now and then one is many."""

MTU_BYTES, HEADER_BYTES, PROTECTION_BYTES = 1_200, 66, 14
"""Of a payload, of IP to SRTP, and of what says which packets an XOR packet protects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """group: None for retransmissions. intact_percent: of the pictures. overhead_percent: of bytes
    sent, beyond those of the video.
    """

    loss_percent: float
    round_trip_ms: float
    group: int | None
    intact_percent: float
    overhead_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Packet:
    sequence_number: int
    frame: int
    size_bytes: int


def packets_of_video(seed: int, frames: int = FRAMES) -> list[_Packet]:
    """In order of sending."""
    chance, found = random.Random(seed), list[_Packet]()
    for frame in range(frames):
        mean = LARGE_FRAME_BYTES if frame % LARGE_EVERY == 0 else FRAME_BYTES
        size = round(mean * chance.uniform(0.6, 1.4))
        parts = -(-size // MTU_BYTES)
        for _ in range(parts):
            packet_bytes = -(-size // parts) + HEADER_BYTES
            found.append(_Packet(sequence_number=len(found), frame=frame, size_bytes=packet_bytes))
    return found


def with_retransmissions(
    packets: Sequence[_Packet], *, loss_ratio: float, rtt_ms: float, seed: int
) -> tuple[dict[int, float], int]:
    """When each packet came, and the bytes sent beyond them."""
    exchange = _Exchange(packets, loss_ratio=loss_ratio, rtt_ms=rtt_ms, seed=seed)
    exchange.run()
    return exchange.came, exchange.extra_bytes


class _Exchange:
    """Sender and receiver with what lies between them, by a clock of its own."""

    def __init__(
        self, packets: Sequence[_Packet], *, loss_ratio: float, rtt_ms: float, seed: int
    ) -> None:
        self._packets, self._loss_ratio, self._rtt_ms = packets, loss_ratio, rtt_ms
        self._chance, self._order = random.Random(seed), count()
        self._requests, self._limit = NackRequests(), RetransmissionLimit()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._now_ms, self._newest = 0.0, 0
        self.came: dict[int, float] = {}
        self.extra_bytes = 0
        for packet in packets:
            self._at(packet.frame * FRAME_MS, partial(self._send, packet))

    def run(self) -> None:
        while self._events:
            self._now_ms, _, action = heapq.heappop(self._events)
            action()

    def _at(self, at_ms: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (at_ms, next(self._order), action))

    def _travel(self, action: Callable[[], None]) -> None:
        """To the other end, unless it is lost."""
        if self._chance.random() >= self._loss_ratio:
            self._at(self._now_ms + self._rtt_ms / 2, action)

    def _send(self, packet: _Packet) -> None:
        self._newest = packet.sequence_number
        self._limit.note_sent(packet.sequence_number, now_ms=self._now_ms)
        self._travel(partial(self._arrive, packet))

    def _arrive(self, packet: _Packet) -> None:
        self.came.setdefault(packet.sequence_number, self._now_ms)
        numbered = _Numbered(packet.sequence_number % 0x10000)
        wanted = self._requests.add(numbered, rtt_ms=self._rtt_ms, now_ms=self._now_ms)
        if wanted:
            self._travel(partial(self._answer, wanted))

    def _answer(self, wanted: list[int]) -> None:
        for low in wanted:
            number = low + (self._newest - low) // 0x10000 * 0x10000
            if self._limit.allows(number, rtt_ms=self._rtt_ms, now_ms=self._now_ms):
                self.extra_bytes += self._packets[number].size_bytes
                self._travel(partial(self._arrive, self._packets[number]))


@dataclass(frozen=True, slots=True)
class _Numbered:
    sequence_number: int


def with_protection(
    packets: Sequence[_Packet], group: int, *, loss_ratio: float, rtt_ms: float, seed: int
) -> tuple[dict[int, float], int]:
    """The same with one XOR packet after every `group` packets and no retransmissions."""
    chance = random.Random(seed)
    came: dict[int, float] = {}
    extra_bytes = 0
    for start in range(0, len(packets), group):
        protected = packets[start : start + group]
        extra_bytes += max(each.size_bytes for each in protected) + PROTECTION_BYTES
        lost = []
        for each in protected:
            if chance.random() >= loss_ratio:
                came[each.sequence_number] = each.frame * FRAME_MS + rtt_ms / 2
            else:
                lost.append(each)
        if len(lost) == 1 and chance.random() >= loss_ratio:
            last_ms = protected[-1].frame * FRAME_MS
            came[lost[0].sequence_number] = last_ms + rtt_ms / 2
    return came, extra_bytes


def measure(group: int | None, *, loss_ratio: float, rtt_ms: float, frames: int = FRAMES) -> Row:
    """One row; the same pictures in each."""
    packets = packets_of_video(1, frames)
    settings = {"loss_ratio": loss_ratio, "rtt_ms": rtt_ms}
    came, extra_bytes = (
        with_retransmissions(packets, seed=2, **settings)
        if group is None
        else with_protection(packets, group, seed=2, **settings)
    )
    # A gap shows with the next frame; from then on the receiver waits.
    in_time_ms = rtt_ms / 2 + FRAME_MS + patience_ms(rtt_ms)
    broken = {
        packet.frame
        for packet in packets
        if came.get(packet.sequence_number, float("inf")) > packet.frame * FRAME_MS + in_time_ms
    }
    video_bytes = sum(packet.size_bytes for packet in packets)
    return Row(
        loss_percent=100 * loss_ratio,
        round_trip_ms=rtt_ms,
        group=group,
        intact_percent=round(100 * (1 - len(broken) / frames), 2),
        overhead_percent=round(100 * extra_bytes / video_bytes, 1),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="fec_choice", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the rows here")
    options = parser.parse_args(arguments)
    rows = [
        measure(group, loss_ratio=loss_ratio, rtt_ms=rtt_ms)
        for loss_ratio in LOSS_RATIOS
        for rtt_ms in ROUND_TRIPS_MS
        for group in GROUPS
    ]
    for row in rows:
        way = "asked for again" if row.group is None else f"one XOR packet for {row.group}"
        print(
            f"{row.loss_percent:2.0f} % lost, {row.round_trip_ms:3.0f} ms, {way:20}: "
            f"{row.intact_percent:6.2f} % intact, {row.overhead_percent:4.1f} % more bytes"
        )
    if options.json is not None:
        write_result(options.json, "fec_choice", {"rows": [asdict(row) for row in rows]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
