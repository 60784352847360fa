"""Real media for transport tests: a small moving picture, x264, and two peers over loopback."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import TypeVar

import av
import numpy as np
from av.video.frame import PictureType

from stream.audio import AudioChunk
from stream.buffer import LatestBuffer
from stream.codecs_registry import NegotiatedCodec
from stream.frame import CLOCK_HZ, Frame, Size
from stream.frame_av import frame_to_av
from stream.jitter_buffer import CodedFrame
from stream.sending_codecs import (
    OPUS_FRAME_SAMPLES,
    AudioCarrier,
    OpusSendEncoder,
    SendCounters,
)

T = TypeVar("T")

SIZE = Size(width=160, height=96)
INTERVAL = CLOCK_HZ // 25


def picture(index: int, *, size: Size = SIZE, pts: int | None = None) -> Frame:
    """A gradient whose phase and mean depend on the index."""
    rows, columns = np.mgrid[0 : size.height, 0 : size.width]
    luma = 40 + index % 16 * 8 + 40 * np.sin((columns + 3 * index) / 9) + rows / 4
    half = (size.height // 2, size.width // 2)
    return Frame(
        y=luma.clip(16, 235).astype(np.uint8),
        u=np.full(half, 100 + index % 8, np.uint8),
        v=np.full(half, 140, np.uint8),
        pts=index * INTERVAL if pts is None else pts,
    )


class X264:
    """A `FrameEncoder` as plain as can be: constant quality, no delay."""

    def __init__(self, *, preset: str = "ultrafast", slice_bytes: int | None = None) -> None:
        self._preset = preset
        self._slice_bytes = slice_bytes
        self._context: av.VideoCodecContext | None = None
        self.keyframes_forced = 0
        self.codec: NegotiatedCodec | None = None
        self.estimates_bps: list[int | None] = []

    def encode(
        self,
        frame: Frame,
        *,
        codec: NegotiatedCodec,
        force_keyframe: bool,
        remote_estimate_bps: int | None,
    ) -> bytes:
        """One Annex B access unit."""
        self.codec = codec
        self.estimates_bps.append(remote_estimate_bps)
        self.keyframes_forced += force_keyframe
        if (
            self._context is None
            or Size(width=self._context.width, height=self._context.height) != frame.size
        ):
            self._context = self._open(frame.size)
        source = frame_to_av(frame)
        source.pict_type = PictureType.I if force_keyframe else PictureType.NONE
        return b"".join(bytes(packet) for packet in self._context.encode(source))

    def _open(self, size: Size) -> av.VideoCodecContext:
        context = av.CodecContext.create("libx264", "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height = size.width, size.height
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, CLOCK_HZ)
        context.framerate = Fraction(25)
        context.options = {
            "preset": self._preset,
            "tune": "zerolatency",
            "crf": "20",
            "forced-idr": "1",
            "x264-params": "keyint=infinite:scenecut=0:threads=1"
            + (f":slice-max-size={self._slice_bytes}" if self._slice_bytes else ""),
        }
        return context


H264_HIGH = NegotiatedCodec(name="h264", profile_level_id="640c1f", payload_type=97)


def coded_frames(count: int, **settings: int) -> list[CodedFrame]:
    """H.264 access units with RTP timestamps 40 ms apart, the first one a keyframe."""
    encoder = X264(**settings)  # type: ignore[arg-type] # one keyword, an int
    units = [
        encoder.encode(
            picture(index), codec=H264_HIGH, force_keyframe=index == 0, remote_estimate_bps=None
        )
        for index in range(count)
    ]
    return [
        CodedFrame(
            data=unit,
            timestamp=index * INTERVAL,
            is_keyframe=index == 0,
            after_loss=False,
            arrived_ms=40.0 * index,
        )
        for index, unit in enumerate(units)
    ]


def psnr(a: Frame, b: Frame) -> float:
    """Luma PSNR in dB."""
    error = float(np.mean((a.y.astype(np.float64) - b.y.astype(np.float64)) ** 2))
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def tone(pts: int, *, samples: int = 960, frequency_hz: float = 440.0) -> AudioChunk:
    """A stretch of sine on both channels; pts in 1/48000 s."""
    phase = 2 * np.pi * frequency_hz * (pts + np.arange(samples)) / 48_000
    wave = (8000 * np.sin(phase)).astype(np.int16)
    return AudioChunk(samples=np.stack((wave, wave), axis=1), pts=pts)


def opus_payloads(bitrate_bps: int, count: int) -> list[tuple[list[bytes], int]]:
    """Payloads and timestamps of 20 ms each: a tone with noise, so that every bit is needed."""
    adapter, counters = OpusSendEncoder(), SendCounters()
    order = np.random.default_rng(5)
    payloads = []
    for index in range(count):
        carrier = AudioCarrier()
        chunk = tone(index * OPUS_FRAME_SAMPLES)
        noise = order.integers(-2000, 2000, chunk.samples.shape).astype(np.int16)
        carrier.media = AudioChunk(samples=chunk.samples + noise, pts=chunk.pts)
        carrier.bitrate_bps, carrier.counters = bitrate_bps, counters
        payloads.append(adapter.encode(carrier))
    return payloads


async def take(buffer: LatestBuffer[T], count: int) -> list[T]:
    """The next `count` items, within 8 seconds."""
    async with asyncio.timeout(8):
        return [await buffer.get_async() for _ in range(count)]
