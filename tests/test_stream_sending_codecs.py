from __future__ import annotations

import logging

import pytest

from stream.errors import CodecError
from stream.frame import Frame
from stream.sending_codecs import (
    OPUS_FRAME_SAMPLES,
    AudioCarrier,
    FrameEncoder,
    NegotiatedCodec,
    OpusSendEncoder,
    SendCounters,
    VideoCarrier,
    VideoSendEncoder,
)
from tests.live_media import H264_HIGH, X264, opus_payloads, picture, tone


class Scripted:
    """A `FrameEncoder` that answers from a list, raising what is an exception."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[bool, int | None]] = []

    def encode(
        self,
        frame: Frame,
        *,
        codec: NegotiatedCodec,
        force_keyframe: bool,
        remote_estimate_bps: int | None,
    ) -> bytes:
        self.asked.append((force_keyframe, remote_estimate_bps))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def carry(encoder: FrameEncoder, counters: SendCounters, index: int = 0) -> VideoCarrier:
    carrier = VideoCarrier()
    carrier.media, carrier.encoder, carrier.counters = picture(index), encoder, counters
    return carrier


UNIT = b"\x00\x00\x00\x01\x65\x88\x55"


def test_payloads_fit_a_packet_and_carry_the_time_of_the_frame() -> None:
    encoder = X264()
    adapter = VideoSendEncoder(H264_HIGH)
    payloads, timestamp = adapter.encode(carry(encoder, SendCounters(), 7))
    assert timestamp == 7 * 3600
    assert payloads
    assert all(len(payload) <= 1200 for payload in payloads)
    assert encoder.codec == H264_HIGH


def test_a_keyframe_is_asked_for_until_there_is_one() -> None:
    script = Scripted(CodecError("no"), b"", UNIT, UNIT, UNIT)
    adapter, counters = VideoSendEncoder(H264_HIGH), SendCounters()
    for asks in (False, False, False, False, True):
        adapter.encode(carry(script, counters), asks)
    assert [forced for forced, _ in script.asked] == [True, True, True, False, True]


def test_the_remote_estimate_reaches_the_encoder() -> None:
    script = Scripted(UNIT, UNIT)
    adapter, counters = VideoSendEncoder(H264_HIGH), SendCounters()
    adapter.encode(carry(script, counters))
    adapter.target_bitrate = 123_000
    adapter.encode(carry(script, counters))
    assert [estimate for _, estimate in script.asked] == [None, 123_000]


@pytest.mark.parametrize("error", [CodecError("too hard"), ZeroDivisionError("a bug")])
def test_errors_are_counted_and_said_once_in_a_row(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    adapter, counters = VideoSendEncoder(H264_HIGH), SendCounters()
    script = Scripted(error, error, UNIT, error)
    with caplog.at_level(logging.WARNING):
        results = [adapter.encode(carry(script, counters))[0] for _ in range(4)]
    assert [bool(payloads) for payloads in results] == [False, False, True, False]
    assert counters.encode_errors == 3
    assert len(caplog.records) == 2
    assert str(error) in caplog.text


def test_vp8_gets_a_descriptor_with_a_new_picture_id_each() -> None:
    adapter = VideoSendEncoder(NegotiatedCodec(name="vp8", profile_level_id=None, payload_type=107))
    script, counters = Scripted(b"\x10\x02\x00" * 10, b"\x11\x02\x00"), SendCounters()
    first, second = (adapter.encode(carry(script, counters))[0][0] for _ in range(2))
    assert (first[:4], second[:4]) == (b"\x90\x80\x80\x01", b"\x90\x80\x80\x02")


def test_a_codec_without_a_payload_format_is_refused() -> None:
    with pytest.raises(CodecError, match="vp9"):
        VideoSendEncoder(NegotiatedCodec(name="vp9", profile_level_id=None, payload_type=45))


@pytest.mark.parametrize("bitrate_bps", [24_000, 64_000])
def test_opus_makes_one_packet_for_20_ms_at_the_set_bitrate(bitrate_bps: int) -> None:
    payloads = opus_payloads(bitrate_bps, 100)
    assert all(len(packets) == 1 for packets, _ in payloads)
    rate = sum(len(packets[0]) for packets, _ in payloads) * 8 / (len(payloads) * 0.02)
    assert 0.85 * bitrate_bps < rate < 1.1 * bitrate_bps


def test_opus_timestamps_are_earlier_by_the_lookahead_of_the_encoder() -> None:
    times = [timestamp for _, timestamp in opus_payloads(32_000, 3)]
    assert times[0] < 0
    assert [time - times[0] for time in times] == [0, 960, 1920]


def test_silence_is_sent_like_any_sound() -> None:
    adapter = OpusSendEncoder()
    for index in range(50):
        carrier = AudioCarrier()
        chunk = tone(index * OPUS_FRAME_SAMPLES)
        carrier.media = type(chunk)(samples=chunk.samples * 0, pts=chunk.pts)
        carrier.bitrate_bps, carrier.counters = 32_000, SendCounters()
        packets, _ = adapter.encode(carrier)
        assert len(packets) == 1
