"""What aiortc takes for its jitter buffer and decoders at the receiving end.

Frames go down from packet to picture as values, and every count travels with them, so nothing here
knows a peer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import av
import av.error
import numpy as np

from stream.audio import CHANNELS, SAMPLE_RATE_HZ, AudioChunk
from stream.errors import CodecError
from stream.frame import CLOCK_HZ, Frame
from stream.jitter_buffer import CodedFrame, JitterBuffer, MediaPacket, PayloadPart
from stream.nack import patience_ms
from stream.video_decode import VideoDecoder

AUDIO_WAIT_MS = 60
"""Sound is not retransmitted: room for reordering only."""

MAX_BACKLOG_FRAMES = 64
"""A decoder that is this far behind never catches up: skip to a keyframe."""

MAX_UNSHOWN = 8
"""Pictures that are not shown in front of one that is; more is no live stream."""

REQUEST_INTERVAL_MS = 250
MALFORMED = PayloadPart(data=b"", starts_frame=False, is_keyframe=False)
"""Stands for a payload that does not parse (recognised by identity)."""

_log = logging.getLogger(__name__)


class IncomingPacket(Protocol):
    """The part of aiortc's RtpPacket that is read here; `_data` is what `depayload` returned."""

    ssrc: int
    sequence_number: int
    timestamp: int
    marker: int
    payload: bytes
    _data: PayloadPart | bytes


class DecodeQueueState:
    """Shared by the network thread and the decoder thread of one track."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = 0
        self._wants_keyframe = False
        self.undecodable_frames = 0

    def enter(self, count: int) -> bool:
        """Whether `count` more frames may wait."""
        with self._lock:
            if self._waiting + count > MAX_BACKLOG_FRAMES:
                return False
            self._waiting += count
            return True

    def leave(self, count: int) -> None:
        """Say that frames were decoded."""
        with self._lock:
            self._waiting -= count

    def report_undecodable(self) -> None:
        """Say that a frame was refused, so that a keyframe is asked for."""
        with self._lock:
            self.undecodable_frames += 1
            self._wants_keyframe = True

    def take_request(self) -> bool:
        """Whether a keyframe was wanted since the last call."""
        with self._lock:
            wanted, self._wants_keyframe = self._wants_keyframe, False
            return wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveCounts:
    """What one track has lost so far.

    packets_lost: never came, not even as a retransmission. frames_lost: given up for that.
    peer_errors: packets that do not parse and frames that do not decode.
    """

    packets_lost: int = 0
    frames_lost: int = 0
    peer_errors: int = 0


@dataclass(slots=True, kw_only=True)
class ReceivedFrames:
    """Complete frames on their way to the decoder; aiortc reads and rewrites `timestamp`."""

    frames: tuple[CodedFrame, ...]
    timestamp: int
    counts: ReceiveCounts
    state: DecodeQueueState

    def counts_now(self) -> ReceiveCounts:
        """With what the decoder has refused since."""
        peer_errors = self.counts.peer_errors + self.state.undecodable_frames
        return replace(self.counts, peer_errors=peer_errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedVideo:
    """A decoded frame whose pts is the raw RTP timestamp.

    coded: what it was decoded from, and pictures before it that are not shown.
    """

    frame: Frame
    coded: tuple[CodedFrame, ...]
    codec: str
    counts: ReceiveCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedAudio:
    """Decoded sound whose pts is the raw RTP timestamp."""

    chunk: AudioChunk
    counts: ReceiveCounts


class ReceivingJitterBuffer:
    """`stream.jitter_buffer` behind the interface that aiortc calls."""

    def __init__(self, *, is_video: bool, clock_ms: Callable[[], float]) -> None:
        self._is_video = is_video
        self._clock_ms = clock_ms
        self._buffer = (
            JitterBuffer(clock_hz=CLOCK_HZ)
            if is_video
            else JitterBuffer(clock_hz=SAMPLE_RATE_HZ, wait_ms=AUDIO_WAIT_MS)
        )
        self._state = DecodeQueueState()
        self._malformed_packets = 0
        self._frames_skipped = 0
        self._skips_to_keyframe = False
        self._requested_ms = -float("inf")
        self.rtt_ms: Callable[[], float | None] = lambda: None
        """The round trip, None while it is not known: how long retransmissions may take."""

    def add(self, packet: IncomingPacket) -> tuple[bool, ReceivedFrames | None]:
        """Whether to send a PLI, and the frames that became complete."""
        part = packet._data
        if part is MALFORMED:
            self._malformed_packets += 1
            return False, None
        if isinstance(part, bytes):  # aiortc's word for a packet of padding
            part = PayloadPart(data=b"", starts_frame=False, is_keyframe=False)
        now_ms = self._clock_ms()
        rtt_ms = self.rtt_ms() if self._is_video else None
        if rtt_ms is not None:
            self._buffer.wait_ms = patience_ms(rtt_ms)
        released = self._buffer.add(
            MediaPacket(
                ssrc=packet.ssrc,
                sequence_number=packet.sequence_number,
                timestamp=packet.timestamp,
                ends_frame=bool(packet.marker) or not self._is_video,
                part=part,
                arrived_ms=now_ms,
            )
        )
        frames = self._bounded(released.frames)
        wants_keyframe = released.wants_keyframe or self._is_request_due(now_ms)
        if not frames:
            return wants_keyframe, None
        return wants_keyframe, ReceivedFrames(
            frames=frames,
            timestamp=frames[0].timestamp,
            counts=ReceiveCounts(
                packets_lost=self._buffer.packets_lost,
                frames_lost=self._buffer.frames_lost + self._frames_skipped,
                peer_errors=self._malformed_packets,
            ),
            state=self._state,
        )

    def _bounded(self, frames: tuple[CodedFrame, ...]) -> tuple[CodedFrame, ...]:
        kept: list[CodedFrame] = []
        for frame in frames:
            if (self._skips_to_keyframe and not frame.is_keyframe) or not self._state.enter(1):
                self._skips_to_keyframe = True
                self._frames_skipped += 1
            else:
                self._skips_to_keyframe = False
                kept.append(frame)
        return tuple(kept)

    def _is_request_due(self, now_ms: float) -> bool:
        if now_ms - self._requested_ms < REQUEST_INTERVAL_MS:
            return False
        if not (self._state.take_request() or self._skips_to_keyframe):
            return False
        self._requested_ms = now_ms
        return True


class VideoReceiveDecoder:
    """`stream.video_decode` behind the interface that aiortc's decoder thread calls."""

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._decoder = VideoDecoder(codec)
        self._unshown: tuple[CodedFrame, ...] = ()

    def decode(self, received: ReceivedFrames) -> list[ReceivedVideo]:
        """Decoded frames in order; a frame that cannot be decoded is counted and left out."""
        pictures: list[ReceivedVideo] = []
        for coded in received.frames:
            try:
                decoded = self._decoder.decode(coded)
            except CodecError as error:
                received.state.report_undecodable()
                _log.debug("%s", error)
                continue
            finally:
                received.state.leave(1)
            self._unshown = (*self._unshown, coded)[-MAX_UNSHOWN:]
            counts = received.counts_now()
            for frame in decoded:
                pictures.append(
                    ReceivedVideo(
                        frame=frame, coded=self._unshown, codec=self._codec, counts=counts
                    )
                )
                self._unshown = ()
        return pictures


class OpusReceiveDecoder:
    """libopus behind the interface that aiortc's decoder thread calls."""

    def __init__(self) -> None:
        context = av.CodecContext.create("libopus", "r")
        context.format = "s16"
        context.layout = "stereo"
        context.sample_rate = SAMPLE_RATE_HZ
        self._context = context

    def decode(self, received: ReceivedFrames) -> list[ReceivedAudio]:
        """Decoded sound in order; a packet that cannot be decoded is counted and left out."""
        sound: list[ReceivedAudio] = []
        for coded in received.frames:
            try:
                frames = self._context.decode(av.Packet(coded.data))
            except av.error.FFmpegError as error:
                received.state.report_undecodable()
                _log.debug("an Opus packet cannot be decoded: %s", error)
                continue
            finally:
                received.state.leave(1)
            pts = coded.timestamp
            for frame in frames:
                samples = frame.to_ndarray().reshape(-1, CHANNELS).astype(np.int16, copy=False)
                chunk = AudioChunk(samples=samples, pts=pts, entered_ms=coded.arrived_ms)
                pts += len(samples)
                sound.append(ReceivedAudio(chunk=chunk, counts=received.counts_now()))
        return sound
