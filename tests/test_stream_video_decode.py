from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from encoder.av1_encoder import AV1Encoder
from encoder.video_encoder import AV1Settings
from stream import rtp_av1
from stream.errors import CodecError
from stream.frame import Frame, Size
from stream.jitter_buffer import CodedFrame
from stream.video_decode import VideoDecoder
from tests.live_media import H264_HIGH, SIZE, X264, coded_frames, picture, psnr


def test_every_frame_comes_out_at_once_and_looks_like_what_went_in() -> None:
    decoder = VideoDecoder("h264")
    for index, coded in enumerate(coded_frames(10)):
        (frame,) = decoder.decode(coded)
        assert (frame.pts, frame.entered_ms) == (coded.timestamp, coded.arrived_ms)
        assert frame.is_keyframe == (index == 0)
        assert not frame.is_damaged
        assert psnr(frame, picture(index)) > 40
        assert frame.quantiser is not None
        assert 0 < frame.quantiser < 35


def av1_frames(count: int) -> list[CodedFrame]:
    """As the jitter buffer gives them."""
    encoder = AV1Encoder(AV1Settings(size=SIZE, target_bitrate_bps=1_000_000, preset="10"))
    frames = [
        CodedFrame(
            data=b"".join(rtp_av1.depayload(part).data for part in rtp_av1.packetize(coded.data)),
            timestamp=coded.pts,
            is_keyframe=coded.is_keyframe,
            after_loss=False,
            arrived_ms=1.0,
        )
        for coded in (encoder.encode(picture(index)) for index in range(count))
    ]
    encoder.close()
    return frames


def test_av1_frames_come_out_at_once_with_their_quantiser() -> None:
    decoder = VideoDecoder("av1")
    for index, coded in enumerate(av1_frames(6)):
        (frame,) = decoder.decode(coded)
        assert (frame.pts, frame.is_keyframe) == (coded.timestamp, index == 0)
        assert psnr(frame, picture(index)) > 35
        assert frame.quantiser is not None
        assert 0 < frame.quantiser < 40


def test_damaged_av1_is_refused_and_the_next_keyframe_is_decoded() -> None:
    decoder = VideoDecoder("av1")
    coded = av1_frames(3)
    for data in (coded[0].data[:-9], b"\x00\x01\x10", coded[0].data[:20] + bytes(60)):
        with pytest.raises(CodecError):
            decoder.decode(replace(coded[0], data=data))
    (frame,) = decoder.decode(coded[0])
    assert not frame.is_damaged
    with pytest.raises(CodecError):
        decoder.decode(replace(coded[1], data=coded[1].data[:-5]))
    assert all(frame.is_damaged for frame in decoder.decode(coded[2]))


def test_frames_after_a_loss_are_damaged_until_a_keyframe() -> None:
    decoder = VideoDecoder("h264")
    coded = coded_frames(6)
    decoder.decode(coded[0])
    outcomes: list[bool] = []
    for unit in (replace(coded[2], after_loss=True), coded[3], coded[0], coded[1]):
        outcomes += [frame.is_damaged for frame in decoder.decode(unit)]
    assert outcomes == [True, True, False, False]


def test_data_that_is_no_video_is_refused_and_the_next_keyframe_is_decoded() -> None:
    decoder = VideoDecoder("h264")
    coded = coded_frames(1)[0]
    with pytest.raises(CodecError, match="cannot be decoded"):
        decoder.decode(replace(coded, data=b"\x00\x00\x00\x01\x65" + bytes(50)))
    (frame,) = decoder.decode(coded)
    assert not frame.is_damaged


def test_damaged_bytes_never_raise_anything_but_a_codec_error() -> None:
    order = random.Random(4)
    coded = coded_frames(6)
    for _ in range(30):
        decoder = VideoDecoder("h264")
        for unit in coded:
            data = bytearray(unit.data)
            for _ in range(3):
                data[order.randrange(5, len(data))] = order.randrange(256)
            try:
                frames = decoder.decode(replace(unit, data=bytes(data)))
            except CodecError:
                continue
            assert all(isinstance(frame, Frame) for frame in frames)


def test_a_change_of_resolution_is_followed() -> None:
    decoder, encoder = VideoDecoder("h264"), X264()
    sizes = []
    for size in (Size(width=160, height=96), Size(width=96, height=64)):
        unit = encoder.encode(
            picture(0, size=size), codec=H264_HIGH, force_keyframe=True, remote_estimate_bps=None
        )
        sizes += [frame.size for frame in decoder.decode(replace(coded_frames(1)[0], data=unit))]
    assert [str(size) for size in sizes] == ["160x96", "96x64"]


@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "yuv422p", "yuvj444p"])
def test_other_pixel_formats_become_8_bit_420(pixel_format: str) -> None:
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 64, 48, pixel_format
    context.time_base = Fraction(1, 25)
    context.options = {"tune": "zerolatency", "crf": "5"}
    source = av.VideoFrame(64, 48, "gray")
    np.frombuffer(source.planes[0], np.uint8)[:] = 120  # type: ignore[call-overload] # a buffer
    source = source.reformat(format=pixel_format)
    source.pts = 0
    unit = b"".join(bytes(packet) for packet in context.encode(source))
    (frame,) = VideoDecoder("h264").decode(replace(coded_frames(1)[0], data=unit))
    assert frame.y.shape == (48, 64)
    assert abs(int(frame.y[20, 20]) - (120 * 219 // 255 + 16)) <= 4
    assert abs(int(frame.u[10, 10]) - 128) <= 2


def test_vp8_is_decoded_without_a_quantiser() -> None:
    context = av.CodecContext.create("libvpx", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 160, 96, "yuv420p"
    context.time_base = Fraction(1, 25)
    context.bit_rate = 500_000
    context.options = {"deadline": "realtime", "lag-in-frames": "0"}
    source = av.VideoFrame(160, 96, "yuv420p")
    for plane in source.planes:
        plane.update(bytes([90]) * plane.buffer_size)
    source.pts = 0
    unit = b"".join(bytes(packet) for packet in context.encode(source))
    coded = CodedFrame(data=unit, timestamp=7, is_keyframe=True, after_loss=False, arrived_ms=1.0)
    (frame,) = VideoDecoder("vp8").decode(coded)
    assert (frame.pts, frame.quantiser, frame.is_keyframe) == (7, None, True)
    assert abs(int(frame.y[50, 50]) - 90) <= 3


def test_an_unknown_codec_is_refused_by_name() -> None:
    with pytest.raises(CodecError, match="h266"):
        VideoDecoder("h266")
