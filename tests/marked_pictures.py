"""Clips whose every picture carries its number, so that whoever gets it can say which one it is.

The number stands in bars across the lower half, one a bit, the lowest at the left; the upper half
moves. Bars are wide enough to survive coding at few bits and scaling.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from stream.frame import CLOCK_HZ, Frame, Plane, Size
from stream.frame_av import TIME_BASE, frame_to_av

BITS = 8
_DARK, _BRIGHT = 60, 190
STEP = CLOCK_HZ // 25


def marked(number: int, *, size: Size, pts: int | None = None) -> Frame:
    """Picture `number` (0..255) of a clip at 25 fps."""
    rows, columns = np.mgrid[0 : size.height, 0 : size.width]
    luma = 110 + 30 * np.sin((columns + 2 * number) / 11) + 20 * np.sin(rows / 7)
    bit = columns * BITS // size.width
    bars = np.where(number >> bit & 1, _BRIGHT, _DARK)
    luma = np.where(rows >= size.height // 2, bars, luma)
    half = (size.height // 2, size.width // 2)
    return Frame(
        y=luma.clip(16, 235).astype(np.uint8),
        u=np.full(half, 110, np.uint8),
        v=np.full(half, 140, np.uint8),
        pts=number * STEP if pts is None else pts,
    )


def number_in(luma: Plane) -> int:
    """The number of a picture of any size; fails where a bar is neither dark nor bright."""
    height, width = luma.shape
    number = 0
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        margin = (right - left) // 4
        level = float(
            luma[height * 5 // 8 : height * 7 // 8, left + margin : right - margin].mean()
        )
        middle = (_DARK + _BRIGHT) / 2
        assert abs(level - middle) > 10, f"bar {bit} is {level:.0f}"
        number |= (level > middle) << bit
    return number


def numbers_in(path: Path) -> list[int]:
    """The numbers of all pictures of a file, as PyAV decodes them."""
    with av.open(str(path)) as container:
        return [
            number_in(np.asarray(frame.to_ndarray()[: frame.height, : frame.width], np.uint8))
            for frame in container.decode(video=0)
        ]


def write_marked(
    path: Path,
    *,
    sizes: Iterable[Size],
    beeps_at: tuple[float, ...] = (),
    flashes_at: tuple[float, ...] = (),
) -> Path:
    """One marked picture for each of `sizes`, at 25 fps, nearly lossless.

    All of one size unless the container is raw (.h264). flashes_at: a white picture at these
    times in s. beeps_at: sound (Opus) with a tone of 100 ms at these times; none without.
    """
    sizes = list(sizes)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, time_base=TIME_BASE)
        video.width, video.height, video.pix_fmt = sizes[0].width, sizes[0].height, "yuv420p"
        video.options = {"crf": "12", "preset": "veryfast", "tune": "zerolatency", "g": "25"}
        sound = container.add_stream("libopus", rate=48_000) if beeps_at else None
        for number, size in enumerate(sizes):
            picture = marked(number, size=size)
            if any(abs(number / 25 - at_s) < 0.02 for at_s in flashes_at):
                picture.y[:] = 235
            container.mux(video.encode(frame_to_av(picture)))
        container.mux(video.encode(None))
        if sound is not None:
            samples = _beeps(len(sizes) * 1920, beeps_at)
            for start in range(0, samples.shape[1], 2 * 960):
                block = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(samples[:, start : start + 2 * 960]),
                    format="s16",
                    layout="stereo",
                )
                block.sample_rate, block.pts = 48_000, start // 2
                block.time_base = Fraction(1, 48_000)
                container.mux(sound.encode(block))
            container.mux(sound.encode(None))
    return path


def _beeps(count: int, at_s: tuple[float, ...]) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    """Interleaved stereo (1, 2 * count)."""
    time_s = np.arange(count) / 48_000
    wave = np.zeros(count)
    for start_s in at_s:
        wave += ((time_s >= start_s) & (time_s < start_s + 0.1)) * np.sin(
            2 * np.pi * 1000 * (time_s - start_s)
        )
    return np.repeat((12_000 * wave).astype(np.int16), 2)[None]
