"""Puts RTP packets in order and makes whole frames of them; reads no clock.

A frame is released with the packet that completes it: the marker bit, or the first packet of the
next timestamp from peers that never set it. A missing packet is waited for (NACK and RTX, RFC 4585
and RFC 4588, may bring it) until packets arrive `wait_ms` after the one that showed the gap; then
its frame is abandoned and a keyframe asked for. Media time would not do: where a sender left frames
out, say while its codec opened, it jumps by more than that at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

VIDEO_WAIT_MS = 300
"""Until the round trip is known; then `stream.nack` says it."""

CAPACITY_PACKETS = 512
"""Bound on memory (600 KiB) and on reordering; more than a retransmission history holds."""

KEYFRAME_REQUEST_INTERVAL_MS = 250
RESTART_JUMP_MS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadPart:
    """What one RTP payload brings to a frame.

    data: put in a row, those of a frame are what its decoder takes (AV1: `rtp_av1.assemble`).
    starts_frame: the payload shows that the frame has nothing before it (False: it does not say).
    is_keyframe: the payload shows that the frame is a keyframe.
    """

    data: bytes
    starts_frame: bool
    is_keyframe: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPacket:
    """An RTP packet (RFC 3550 section 5.1); arrived_ms: on any clock, never backwards."""

    ssrc: int
    sequence_number: int
    timestamp: int
    ends_frame: bool
    part: PayloadPart
    arrived_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedFrame:
    """A complete frame; timestamp is raw RTP, arrived_ms that of its last packet.

    after_loss: a frame before it, and after the last keyframe, was abandoned.
    """

    data: bytes
    timestamp: int
    is_keyframe: bool
    after_loss: bool
    arrived_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """Everything that one packet set free, in order, and whether to ask for a keyframe."""

    frames: tuple[CodedFrame, ...] = ()
    wants_keyframe: bool = False


class JitterBuffer:
    """Frames of one RTP stream, starting at a keyframe; audio packets are keyframes, each whole."""

    def __init__(
        self,
        *,
        clock_hz: int,
        wait_ms: float = VIDEO_WAIT_MS,
        capacity_packets: int = CAPACITY_PACKETS,
    ) -> None:
        self._clock_hz = clock_hz
        self.wait_ms = wait_ms
        """May change at any time, say with the round trip."""
        self._capacity = capacity_packets
        self._frames_lost = 0
        self._packets_lost = 0
        self._packets: dict[int, MediaPacket] = {}
        self._ssrc: int | None = None
        self._newest: int | None = None  # highest number seen, unwrapped
        self._newest_timestamp = 0
        self._next: int | None = None  # first number not yet released; None until a keyframe
        self._after_loss = False
        self._waiting_since: int | None = None  # RTP time of the first packet, until a keyframe
        self._requested_ms: float | None = None  # when a keyframe was last asked for

    @property
    def frames_lost(self) -> int:
        """How many frames were given up, at least one for each gap."""
        return self._frames_lost

    @property
    def packets_lost(self) -> int:
        """How many packets never came, not even as a retransmission."""
        return self._packets_lost

    def __len__(self) -> int:
        return len(self._packets)

    def add(self, packet: MediaPacket) -> Released:
        """Take a packet in any order, duplicates too."""
        if self._is_restart(packet):
            self._clear()
        number = self._unwrap(packet.sequence_number)
        if number in self._packets or (self._next is not None and number < self._next):
            return Released()
        self._packets[number] = packet
        self._ssrc = packet.ssrc
        self._newest = number if self._newest is None else max(number, self._newest)
        if self._next is None:
            self._find_start()
        frames = tuple(self._release(packet.arrived_ms))
        if len(self._packets) > self._capacity:
            self._overflow()
        return Released(frames=frames, wants_keyframe=self._wants_keyframe(packet))

    def _clear(self) -> None:
        self._packets.clear()
        self._newest = self._next = None
        self._after_loss = False
        self._waiting_since = self._requested_ms = None

    def _is_restart(self, packet: MediaPacket) -> bool:
        """Whether the sender began anew, with other numbers than the stream so far."""
        if self._newest is None:
            return False
        if packet.ssrc != self._ssrc:
            return True
        number = self._unwrap(packet.sequence_number)
        if abs(number - self._newest) > self._capacity:
            return True
        is_late = self._next is not None and number < self._next
        jump_ms = abs(self._elapsed_ms(self._newest_timestamp, packet.timestamp))
        return is_late and jump_ms > RESTART_JUMP_MS

    def _unwrap(self, sequence_number: int) -> int:
        if self._newest is None:
            return sequence_number
        return self._newest + (sequence_number - self._newest + 0x8000) % 0x10000 - 0x8000

    def _elapsed_ms(self, earlier: int, later: int) -> float:
        ticks = (later - earlier + 0x80000000) % 0x100000000 - 0x80000000
        return ticks * 1000 / self._clock_hz

    def _find_start(self) -> None:
        starts = [
            number
            for number, packet in self._packets.items()
            if packet.part.starts_frame and packet.part.is_keyframe
        ]
        if starts:
            self._continue_at(min(starts))

    def _continue_at(self, number: int) -> None:
        self._next = number
        for old in [old for old in self._packets if old < number]:
            del self._packets[old]

    def _release(self, now_ms: float) -> Iterator[CodedFrame]:
        while self._next is not None:
            end = self._end_of_frame(self._next)
            if end is None:
                if not self._skip_gap(now_ms):
                    return
                continue
            packets = [self._packets.pop(number) for number in range(self._next, end)]
            self._next = end
            frame = self._join(packets)
            if frame is not None:
                yield frame

    def _end_of_frame(self, start: int) -> int | None:
        """The number after the frame that starts at `start`; None while it is incomplete."""
        number = start
        while (packet := self._packets.get(number)) is not None:
            if packet.timestamp != self._packets[start].timestamp:
                return number
            number += 1
            if packet.ends_frame:
                return number
        return None

    def _join(self, packets: list[MediaPacket]) -> CodedFrame | None:
        data = b"".join(packet.part.data for packet in packets)
        if not data:  # padding, sent by bandwidth probes
            return None
        is_keyframe = any(packet.part.is_keyframe for packet in packets)
        if is_keyframe:
            self._after_loss = False
            self._requested_ms = self._waiting_since = None
        return CodedFrame(
            data=data,
            timestamp=packets[0].timestamp,
            is_keyframe=is_keyframe,
            after_loss=self._after_loss,
            arrived_ms=max(packet.arrived_ms for packet in packets),
        )

    def _skip_gap(self, now_ms: float) -> bool:
        """Give up the frame that waits for a missing packet; False while there is still hope."""
        if self._next is None or not self._packets:
            return False
        missing = self._next
        while missing in self._packets:
            missing += 1
        behind_gap = sorted(number for number in self._packets if number > missing)
        if not behind_gap:
            return False
        noticed_ms = min(self._packets[number].arrived_ms for number in behind_gap)
        if now_ms - noticed_ms <= self.wait_ms:
            return False
        start = next((number for number in behind_gap if self._is_start(number)), None)
        if start is None:
            return False
        skipped = [packet for number, packet in self._packets.items() if number < start]
        self._packets_lost += start - self._next - len(skipped)
        self._frames_lost += max(1, len({packet.timestamp for packet in skipped}))
        self._after_loss = True
        self._continue_at(start)
        return True

    def _is_start(self, number: int) -> bool:
        packet, before = self._packets[number], self._packets.get(number - 1)
        return packet.part.starts_frame or (
            before is not None and (before.ends_frame or before.timestamp != packet.timestamp)
        )

    def _overflow(self) -> None:
        """A frame larger than the buffer, or no keyframe for long: keep nothing."""
        self._frames_lost += len({packet.timestamp for packet in self._packets.values()})
        self._packets.clear()
        self._next = None
        self._after_loss = True

    def _wants_keyframe(self, packet: MediaPacket) -> bool:
        timestamp = self._newest_timestamp = packet.timestamp
        if self._next is not None and not self._after_loss:
            return False
        if self._next is not None and any(p.part.is_keyframe for p in self._packets.values()):
            return False  # one is on its way
        if self._requested_ms is None:
            # At the very start the keyframe's own packets may still come: ask one frame later.
            if self._waiting_since is None and not self._after_loss:
                self._waiting_since = timestamp
            if self._waiting_since == timestamp:
                return False
        elif packet.arrived_ms - self._requested_ms < KEYFRAME_REQUEST_INTERVAL_MS:
            return False
        self._requested_ms = packet.arrived_ms
        return True
