"""Tiny media files for the tests of capture, written with FFmpeg's own encoders."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from encoder.capture import Source, SourceConfig, open_source
from stream.audio import AudioChunk
from stream.frame import Frame

Picture = NDArray[np.uint8]

QUADRANTS = (40, 90, 150, 210)
"""Luma of the quarters of `quadrant_picture`: upper left, upper right, lower left, lower right."""


def quadrant_picture(width: int, height: int) -> Picture:
    """A grey (height, width) picture whose quarters differ, so that any turn of it shows."""
    picture = np.empty((height, width), np.uint8)
    middle = height // 2, width // 2
    picture[: middle[0], : middle[1]], picture[: middle[0], middle[1] :] = QUADRANTS[:2]
    picture[middle[0] :, : middle[1]], picture[middle[0] :, middle[1] :] = QUADRANTS[2:]
    return picture


def grey_frame(picture: Picture, pixel_format: str = "yuv420p") -> av.VideoFrame:
    """A picture whose luma (or luma code, shifted up for more bits) is exactly `picture`."""
    frame = av.VideoFrame(picture.shape[1], picture.shape[0], pixel_format)
    for number, plane in enumerate(frame.planes):
        depth = 2 if "10le" in pixel_format else 1
        rows = np.frombuffer(memoryview(plane), np.uint16 if depth == 2 else np.uint8)
        rows = rows.reshape(plane.height, plane.line_size // depth)
        scale = 4 if depth == 2 else 1
        if number == 1 or number == 2:
            rows[:] = 128 * scale
        else:
            rows[:, : plane.width] = picture.astype(np.uint16) * scale
    return frame


def write_video(
    path: Path,
    pictures: Iterable[Picture],
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    times_ms: list[int] | None = None,
    rotation: int | None = None,
    sample_aspect: Fraction | None = None,
    audio: Callable[[int], NDArray[np.int16]] | None = None,
    audio_rate_hz: int = 44_100,
    audio_layout: str = "mono",
    container_format: str | None = None,
    fps: int = 25,
) -> Path:
    """Write pictures at `times_ms` (or at `fps`), with a second of sound a second if `audio`."""
    shots = list(pictures)
    with av.open(str(path), "w", format=container_format) as output:
        stream = output.add_stream(codec, rate=fps, options=options or {})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = shots[0].shape
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = Fraction(1, 1000 if times_ms else fps)
        if sample_aspect is not None:
            stream.codec_context.sample_aspect_ratio = sample_aspect
        if rotation is not None:
            stream.set_display_rotation(rotation)
        sound: av.AudioStream | None = None
        if audio is not None:
            name = "aac" if path.suffix in (".mp4", ".ts", ".flv") else "pcm_s16le"
            added = output.add_stream(name, rate=audio_rate_hz, layout=audio_layout)
            assert isinstance(added, av.AudioStream)
            sound = added
        for index, picture in enumerate(shots):
            frame = grey_frame(picture, pixel_format)
            frame.pts = times_ms[index] if times_ms else index
            frame.time_base = Fraction(1, 1000 if times_ms else fps)
            output.mux(stream.encode(frame))
            if sound is not None and audio is not None and index % fps == 0:
                samples = audio(index // fps)
                block = av.AudioFrame.from_ndarray(
                    samples.reshape(1, -1), format="s16", layout=audio_layout
                )
                block.sample_rate = audio_rate_hz
                block.pts = index // fps * audio_rate_hz
                block.time_base = Fraction(1, audio_rate_hz)
                output.mux(sound.encode(block))
        output.mux(stream.encode(None))
        if sound is not None:
            output.mux(sound.encode(None))
    return path


def moving_pictures(count: int, width: int = 64, height: int = 48, seed: int = 1) -> list[Picture]:
    """Textured pictures that move by two samples a frame."""
    rng = np.random.default_rng(seed)
    wide = np.kron(rng.integers(30, 220, (height // 4 + 1, width)), np.ones((4, 4)))
    return [
        wide[:height, 2 * index % width : 2 * index % width + width].astype(np.uint8)
        for index in range(count)
    ]


def read_all(source: Source, limit: int = 10_000) -> tuple[list[Frame], list[AudioChunk]]:
    """Everything a source has, at most `limit` items, and close it."""
    frames: list[Frame] = []
    chunks: list[AudioChunk] = []
    try:
        for _ in range(limit):
            item = source.read()
            if item is None:
                break
            if isinstance(item, Frame):
                frames.append(item)
            else:
                chunks.append(item)
    finally:
        source.close()
    return frames, chunks


def capture(url: Path | str, **config: object) -> tuple[list[Frame], list[AudioChunk]]:
    """Open and read a whole source."""
    return read_all(open_source(SourceConfig(url=str(url), **config)))  # type: ignore[arg-type] # keyword by keyword
