"""What is left of losses when both ends do what they can: in no real time, over a seeded path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise

import pytest

from benchmarks.link import Path, PathConfig
from stream.frame import CLOCK_HZ
from stream.jitter_buffer import CodedFrame, JitterBuffer, MediaPacket, PayloadPart
from stream.nack import NackRequests, patience_ms
from stream.request_limits import KeyframeRequestLimit, RetransmissionLimit
from tests.emulated_flow import FRAME_MS, START_MS, Events

FRAME_PACKETS, KEYFRAME_PACKETS, PACKET_BYTES = 1, 6, 750
"""At 150 kb/s and 25 pictures a second; a keyframe takes 0.25 s of it."""

MINUTES = 3


@dataclass
class Repair:
    """A sender that codes at once, a receiver that asks again, paths that lose both ways.

    first_lost: so many packets at the start. left_out: frames that the sender has no time for while
    it codes a keyframe.
    """

    loss_ratio: float
    rtt_ms: float = 50.0
    burst_packets: float = 1.0
    seed: int = 1
    arrived: list[tuple[float, CodedFrame]] = field(default_factory=list)
    sent: dict[int, MediaPacket] = field(default_factory=dict)
    first_packets: int = 0
    repeated_packets: int = 0
    first_lost: int = 0
    left_out: int = 0
    coded: int = 0
    wants_keyframe: bool = True

    def __post_init__(self) -> None:
        self.events = Events()
        self.stalled: list[int] = []
        self.there, self.back = (
            Path(
                PathConfig(
                    delay_ms=self.rtt_ms / 2,
                    loss_ratio=self.loss_ratio,
                    burst_packets=self.burst_packets,
                    seed=self.seed + way,
                ),
                now_ms=START_MS,
            )
            for way in range(2)
        )
        self.nack = NackRequests()
        self.buffer = JitterBuffer(clock_hz=CLOCK_HZ, wait_ms=patience_ms(self.rtt_ms))
        self.resends, self.keyframes = RetransmissionLimit(), KeyframeRequestLimit()
        self.requests = KeyframeRequestLimit()
        self.frames = int(60_000 * MINUTES / FRAME_MS)
        for index in range(self.frames):
            self.events.at(START_MS + FRAME_MS * index, partial(self.code, index))
        self.events.run(START_MS + FRAME_MS * self.frames + 1000)

    def code(self, index: int) -> None:
        if self.wants_keyframe and self.left_out:
            self.stalled.append(index)
            if len(self.stalled) <= self.left_out:
                return
            self.wants_keyframe = False
            self.pass_frame(self.stalled[0], is_keyframe=True)
            self.stalled.clear()
        is_keyframe, self.wants_keyframe = self.wants_keyframe, False
        self.pass_frame(index, is_keyframe=is_keyframe)

    def pass_frame(self, index: int, *, is_keyframe: bool) -> None:
        self.coded += 1
        count = KEYFRAME_PACKETS if is_keyframe else FRAME_PACKETS
        for number in range(count):
            packet = MediaPacket(
                ssrc=1,
                sequence_number=self.first_packets % 0x10000,
                timestamp=round(index * FRAME_MS * CLOCK_HZ / 1000),
                ends_frame=number == count - 1,
                part=PayloadPart(
                    data=b"x", starts_frame=number == 0, is_keyframe=is_keyframe and number == 0
                ),
                arrived_ms=0,
            )
            self.first_packets += 1
            self.sent[packet.sequence_number] = packet
            pace_ms = 0.8 * FRAME_MS * number / count
            self.events.at(self.events.now_ms + pace_ms, partial(self.send, packet))

    def send(self, packet: MediaPacket) -> None:
        self.resends.note_sent(packet.sequence_number, now_ms=self.events.now_ms)
        if packet.sequence_number >= self.first_lost:
            self.pass_on(packet)

    def pass_on(self, packet: MediaPacket) -> None:
        arrival_ms = self.there.send(PACKET_BYTES, now_ms=self.events.now_ms)
        if arrival_ms is not None:
            self.events.at(arrival_ms, lambda: self.receive(packet))

    def receive(self, packet: MediaPacket) -> None:
        now_ms = self.events.now_ms
        for lost in self.nack.add(packet, rtt_ms=self.rtt_ms, now_ms=now_ms):
            self.ask(partial(self.send_again, lost))
        released = self.buffer.add(replace(packet, arrived_ms=now_ms))
        self.arrived += [(now_ms, frame) for frame in released.frames]
        if released.wants_keyframe and self.requests.allows(rtt_ms=self.rtt_ms, now_ms=now_ms):
            self.ask(self.request_keyframe)

    def ask(self, what: Callable[[], None]) -> None:
        arrival_ms = self.back.send(60, now_ms=self.events.now_ms)
        if arrival_ms is not None:
            self.events.at(arrival_ms, what)

    def send_again(self, number: int) -> None:
        if self.resends.allows(number, rtt_ms=self.rtt_ms, now_ms=self.events.now_ms):
            self.repeated_packets += 1
            self.pass_on(self.sent[number])

    def request_keyframe(self) -> None:
        self.wants_keyframe |= self.keyframes.allows(rtt_ms=self.rtt_ms, now_ms=self.events.now_ms)

    @property
    def whole(self) -> list[tuple[float, CodedFrame]]:
        return [(at_ms, frame) for at_ms, frame in self.arrived if not frame.after_loss]

    @property
    def whole_percent(self) -> float:
        return 100 * len(self.whole) / self.coded

    @property
    def longest_freeze_ms(self) -> float:
        return max(later - earlier for (earlier, _), (later, _) in pairwise(self.whole)) - FRAME_MS


@pytest.mark.parametrize(
    ("loss_ratio", "least_percent"), [(0.01, 100), (0.03, 100), (0.05, 99.9), (0.1, 99.5)]
)
def test_at_50_ms_nearly_all_pictures_come_whole_and_soon_at_little_more_than_the_losses(
    loss_ratio: float, least_percent: float
) -> None:
    repair = Repair(loss_ratio)
    assert repair.whole_percent >= least_percent
    assert repair.longest_freeze_ms < (500 if loss_ratio <= 0.05 else 800)
    overhead = repair.repeated_packets / repair.first_packets
    assert overhead < 1.3 * loss_ratio / (1 - loss_ratio)


def test_on_a_long_path_there_is_time_for_a_second_try() -> None:
    assert Repair(0.05, rtt_ms=200).whole_percent > 98  # 92 if given up after 300 ms


def test_a_sender_that_stalls_at_keyframes_does_not_make_losses_of_waits() -> None:
    """Its timestamps jump there; were that taken for time that passed, each loss made the next."""
    repair = Repair(0.05, left_out=8)
    assert repair.whole_percent > 99.5


def test_bursts_of_losses_are_survived() -> None:
    repair = Repair(0.05, burst_packets=3)
    assert repair.whole_percent > 98
    assert repair.buffer.frames_lost < 10


def test_a_loss_at_the_very_start_is_mended_too() -> None:
    repair = Repair(0.0, first_lost=2)
    assert repair.whole_percent == 100
