"""Small clips for tests of the bandwidth benchmark."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from benchmarks.bandwidth.clips import BenchClip
from decoder.training.raw_clip import RawClip
from stream.frame import CLOCK_HZ, Frame, Plane, Size

SIZE = Size(width=432, height=240)
RATE = Fraction(30_000, 1001)  # one that no millisecond divides


def moving_frames(count: int, *, seed: int = 0, size: Size = SIZE) -> list[Frame]:
    """A texture with coarse and fine detail that moves by two samples a frame."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (size.height, size.width + 2 * count))
    spectrum = np.fft.rfft2(noise)
    rows = np.fft.fftfreq(noise.shape[0])[:, None]
    columns = np.fft.rfftfreq(noise.shape[1])[None]
    coarse = np.fft.irfft2(spectrum / (0.02 + np.hypot(rows, columns)), noise.shape)
    luma = np.clip(128 + 45 * coarse / coarse.std(), 16, 235).astype(np.uint8)
    chroma = np.full((size.height // 2, size.width // 2), 120, np.uint8)
    return [
        Frame(
            y=np.ascontiguousarray(luma[:, 2 * index : 2 * index + size.width]),
            u=chroma,
            v=chroma,
            pts=round(index * CLOCK_HZ / RATE),
        )
        for index in range(count)
    ]


def bench_clip(
    folder: Path,
    frames: list[Frame],
    *,
    name: str = "clip",
    lead_in: int = 0,
    cuts: tuple[int, ...] = (),
) -> BenchClip:
    """The frames as a prepared clip in `folder`."""
    path = folder / f"{name}.y4m"
    RawClip.write(path, frames, RATE)
    return BenchClip(
        name=name,
        path=path,
        source_sha256=None,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        size=frames[0].size,
        frame_rate=RATE,
        frames=len(frames),
        lead_in=lead_in,
        cuts=frozenset(cuts),
    )


def blurred(plane: Plane) -> Plane:
    """Mean of 3x3 samples."""
    padded = np.pad(plane.astype(np.uint16), 1, mode="edge")
    height, width = plane.shape
    total = sum(
        padded[y : y + height, x : x + width].astype(np.uint32) for y in range(3) for x in range(3)
    )
    return np.asarray(total // 9, np.uint8)


def write_video(path: Path, frames: list[Frame]) -> None:
    """As a nearly lossless MP4 or MKV."""
    with av.open(str(path), "w") as container:
        options = {"crf": "4", "preset": "ultrafast"}
        video = container.add_stream("libx264", rate=RATE, options=options)
        video.width, video.height, video.pix_fmt = (
            frames[0].size.width,
            frames[0].size.height,
            "yuv420p",
        )
        for index, frame in enumerate(frames):
            planes = np.concatenate([p.reshape(-1) for p in (frame.y, frame.u, frame.v)])
            shape = (frame.size.height * 3 // 2, frame.size.width)
            picture = av.VideoFrame.from_ndarray(planes.reshape(shape), format="yuv420p")
            picture.pts = index
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
