from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stream import rtp_h264
from stream.jitter_buffer import PayloadPart
from stream.receiving_codecs import (
    MALFORMED,
    MAX_BACKLOG_FRAMES,
    REQUEST_INTERVAL_MS,
    OpusReceiveDecoder,
    ReceivedFrames,
    ReceivingJitterBuffer,
    VideoReceiveDecoder,
)
from tests.live_media import INTERVAL, coded_frames, opus_payloads, picture, psnr


@dataclass
class Packet:
    """What aiortc hands over."""

    sequence_number: int
    timestamp: int
    _data: PayloadPart | bytes
    marker: int = 1
    ssrc: int = 1
    payload: bytes = b""


@dataclass
class Clock:
    now_ms: float = 0.0
    calls: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        self.calls.append(self.now_ms)
        return self.now_ms


def whole(data: bytes, *, keyframe: bool) -> PayloadPart:
    return PayloadPart(data=data, starts_frame=True, is_keyframe=keyframe)


def h264_packets(count: int) -> list[Packet]:
    packets: list[Packet] = []
    for coded in coded_frames(count):
        payloads = rtp_h264.packetize(coded.data)
        for place, payload in enumerate(payloads):
            packets.append(
                Packet(
                    sequence_number=len(packets),
                    timestamp=coded.timestamp,
                    marker=int(place == len(payloads) - 1),
                    _data=rtp_h264.depayload(payload),
                )
            )
    return packets


def test_packets_become_pictures_stamped_with_the_arrival_of_their_last_packet() -> None:
    clock = Clock()
    buffer = ReceivingJitterBuffer(is_video=True, clock_ms=clock)
    decoder = VideoReceiveDecoder("h264")
    pictures = []
    for packet in h264_packets(5):
        clock.now_ms += 1
        wants_keyframe, received = buffer.add(packet)
        assert not wants_keyframe
        if received is not None:
            arrived_ms = clock.now_ms
            received.timestamp = 0  # aiortc maps it in a way that cannot be relied on
            decoded = decoder.decode(received)
            assert [video.frame.entered_ms for video in decoded] == [arrived_ms]
            pictures += decoded
    assert [video.frame.pts for video in pictures] == [INTERVAL * index for index in range(5)]
    assert psnr(pictures[-1].frame, picture(4)) > 40


def test_a_payload_that_does_not_parse_is_counted_and_otherwise_a_lost_packet() -> None:
    buffer = ReceivingJitterBuffer(is_video=True, clock_ms=Clock())
    assert buffer.add(Packet(0, 0, MALFORMED)) == (False, None)
    _, received = buffer.add(Packet(1, 0, whole(b"key", keyframe=True)))
    assert received is not None
    assert received.counts_now().peer_errors == 1


def test_padding_packets_do_no_harm() -> None:
    buffer = ReceivingJitterBuffer(is_video=True, clock_ms=Clock())
    buffer.add(Packet(0, 0, whole(b"key", keyframe=True)))
    assert buffer.add(Packet(1, 0, b"", marker=0)) == (False, None)
    _, received = buffer.add(Packet(2, INTERVAL, whole(b"delta", keyframe=False)))
    assert received is not None


def test_a_frame_that_cannot_be_decoded_is_counted_and_a_keyframe_asked_for_at_an_interval() -> (
    None
):
    clock = Clock()
    buffer = ReceivingJitterBuffer(is_video=True, clock_ms=clock)
    decoder = VideoReceiveDecoder("h264")
    asked = []
    for number in range(20):
        clock.now_ms = 40.0 * number
        junk = whole(b"\x00\x00\x00\x01\x65" + bytes(40), keyframe=True)
        wants_keyframe, received = buffer.add(Packet(number, number * INTERVAL, junk))
        if wants_keyframe:
            asked.append(clock.now_ms)
        assert received is not None
        assert decoder.decode(received) == []
    assert received is not None
    assert received.counts_now().peer_errors == 20
    assert 3 <= len(asked) <= 20 * 40 // REQUEST_INTERVAL_MS + 1


def test_when_the_decoder_falls_behind_frames_are_skipped_up_to_a_keyframe() -> None:
    clock = Clock()
    buffer = ReceivingJitterBuffer(is_video=True, clock_ms=clock)
    waiting: list[ReceivedFrames] = []
    requests = 0
    for number in range(2 * MAX_BACKLOG_FRAMES):
        clock.now_ms = 40.0 * number
        part = whole(b"x", keyframe=number == 0)
        wants_keyframe, received = buffer.add(Packet(number, number * INTERVAL, part))
        requests += wants_keyframe
        waiting += [received] if received else []
    assert len(waiting) == MAX_BACKLOG_FRAMES
    assert requests >= 5
    waiting[0].state.leave(MAX_BACKLOG_FRAMES)
    number += 1
    assert buffer.add(Packet(number, number * INTERVAL, whole(b"x", keyframe=False)))[1] is None
    number += 1
    _, received = buffer.add(Packet(number, number * INTERVAL, whole(b"key", keyframe=True)))
    assert received is not None
    assert received.counts.frames_lost == MAX_BACKLOG_FRAMES + 1


def test_opus_becomes_stereo_sound_with_its_rtp_time_and_damage_is_counted() -> None:
    buffer = ReceivingJitterBuffer(is_video=False, clock_ms=Clock())
    decoder = OpusReceiveDecoder()
    sound = []
    for number, (payloads, timestamp) in enumerate(opus_payloads(48_000, 20)):
        data = b"\xff" if number == 10 else payloads[0]
        packet = Packet(number, timestamp % 2**32, whole(data, keyframe=True), marker=0)
        _, received = buffer.add(packet)
        assert received is not None
        sound += decoder.decode(received)
    assert len(sound) == 19
    assert all(item.chunk.samples.shape == (960, 2) for item in sound)
    assert sound[-1].chunk.pts == sound[-2].chunk.pts + 960
    assert sound[-1].counts.peer_errors == 1
    assert np.abs(sound[-1].chunk.samples).max() > 5000


def test_the_longer_the_round_trip_the_longer_retransmissions_are_waited_for() -> None:
    def given_up_after(rtt_ms: float | None) -> int:
        clock = Clock()
        buffer = ReceivingJitterBuffer(is_video=True, clock_ms=clock)
        buffer.rtt_ms = lambda: rtt_ms
        buffer.add(Packet(0, 0, whole(b"k", keyframe=True)))
        for number in range(2, 50):  # 1 never comes
            clock.now_ms = 40.0 * number
            _, received = buffer.add(Packet(number, number * INTERVAL, whole(b"d", keyframe=False)))
            if received is not None:
                return number
        return 50

    assert given_up_after(None) == given_up_after(50) < given_up_after(200) < 50
