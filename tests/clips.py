"""Small video files of any awkward kind, made by PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def picture(
    index: int, *, width: int = 64, height: int = 48, pixels: str = "yuv420p"
) -> av.VideoFrame:
    """A grey ramp that gets brighter to the right and with `index`, in any pixel format."""
    ramp = np.linspace(40, 160, width) + 2 * index
    grey = np.repeat(np.tile(ramp, (height, 1)).astype(np.uint8)[:, :, None], 3, axis=2)
    return av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(
        format=pixels, dst_colorspace="itu601"
    )


def write_clip(
    path: Path,
    *,
    times_ms: Sequence[int] = tuple(range(0, 400, 40)),
    width: int = 64,
    height: int = 48,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    sound: str | None = None,
    sample_aspect: Fraction | None = None,
    pictures: Sequence[av.VideoFrame] | None = None,
) -> Path:
    """Write one frame at each of `times_ms`; `sound` names an audio codec for a track of it."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=25, options=options or {})
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = width, height, pixels
        video.codec_context.time_base = Fraction(1, 1000)
        if sample_aspect is not None:
            video.codec_context.sample_aspect_ratio = sample_aspect
        track = container.add_stream(sound, rate=48_000) if sound is not None else None
        for index, time_ms in enumerate(times_ms):
            frame = (
                pictures[index]
                if pictures is not None
                else picture(index, width=width, height=height, pixels=pixels)
            )
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if track is not None:
            assert isinstance(track, av.AudioStream)
            seconds = (times_ms[-1] + 40) / 1000
            for block in _tone(round(48_000 * seconds)):
                container.mux(track.encode(block))
            container.mux(track.encode(None))
    return path


def _tone(samples: int) -> list[av.AudioFrame]:
    wave = (8000 * np.sin(np.arange(samples) * 2 * np.pi * 440 / 48_000)).astype(np.int16)
    blocks = []
    for start in range(0, samples, 960):
        part = wave[start : start + 960]
        block = av.AudioFrame.from_ndarray(np.repeat(part, 2)[None], format="s16", layout="stereo")
        block.sample_rate, block.pts, block.time_base = 48_000, start, Fraction(1, 48_000)
        blocks.append(block)
    return blocks


def frame_times_ms(path: Path) -> list[int]:
    """When each picture of a file is shown."""
    with av.open(str(path)) as container:
        return [round(1000 * frame.time) for frame in container.decode(video=0)]


def sound_packets(path: Path) -> list[bytes]:
    """The sound of a file, packet for packet."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return []
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]
