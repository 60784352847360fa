"""Pictures and sound to write into sinks, and what PyAV and ffmpeg read back from them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from decoder.sink import Sink
from stream.audio import SAMPLE_RATE_HZ, AudioChunk
from stream.frame import CLOCK_HZ, Colour, Frame, Size

ROOT = Path(__file__).parent.parent
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
SIZE = Size(width=160, height=96)
STEP = CLOCK_HZ // 25
BT709 = Colour(primaries=1, transfer=1, matrix=1)
CHUNK = 960
"""Samples of one 20 ms Opus packet."""


def picture(pts: int, *, luma: int | None = None, size: Size = SIZE) -> Frame:
    """A grey that depends on the time (or `luma`), under a fixed texture that costs some bits."""
    texture = np.random.default_rng(7).integers(0, 24, (size.height, size.width))
    grey = 40 + pts // STEP * 3 % 150 if luma is None else luma
    chroma = np.full((size.height // 2, size.width // 2), 120, np.uint8)
    y = np.clip(grey + texture, 16, 235).astype(np.uint8)
    return Frame(y=y, u=chroma, v=chroma, pts=pts, colour=BT709)


def sound(pts: int, *, amplitude: int = 0, samples: int = CHUNK) -> AudioChunk:
    """A 1 kHz tone, or silence."""
    wave = amplitude * np.sin(np.arange(pts, pts + samples) * (2 * np.pi * 1000 / SAMPLE_RATE_HZ))
    return AudioChunk(samples=np.repeat(wave.astype(np.int16)[:, None], 2, axis=1), pts=pts)


def write_both(sink: Sink, *, frames: int, first_s: int = 0, amplitude: int = 6000) -> None:
    """`frames` pictures at 25 fps and sound beside them, from `first_s` seconds on."""
    for index in range(frames):
        for half in range(2):
            start = first_s * SAMPLE_RATE_HZ + (2 * index + half) * CHUNK
            sink.write_audio(sound(start, amplitude=amplitude))
        sink.write_video(picture(first_s * CLOCK_HZ + index * STEP))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a reader found: times in seconds, mean luma of each frame, mono samples in -1..1."""

    frame_times: list[Fraction]
    keyframe_times: list[Fraction]
    lumas: list[float]
    audio_start: Fraction | None
    samples: NDArray[np.float32]

    def beep_s(self) -> float:
        """Time at which the sound first is louder than a tenth of full scale."""
        assert self.audio_start is not None
        return float(self.audio_start) + int(np.argmax(np.abs(self.samples) > 0.1)) / SAMPLE_RATE_HZ

    def flash_s(self) -> float:
        """Time of the first bright frame."""
        return float(self.frame_times[int(np.argmax(np.array(self.lumas) > 180))])


def read_with_pyav(path: Path) -> Recording:
    """Decode everything; the reader is as strict as FFmpeg gets."""
    times: list[Fraction] = []
    keys: list[Fraction] = []
    lumas: list[float] = []
    parts: list[NDArray[np.float32]] = []
    audio_start: Fraction | None = None
    with av.open(str(path)) as container:
        for item in (item for packet in container.demux() for item in packet.decode()):
            assert isinstance(item, av.VideoFrame | av.AudioFrame)
            assert item.pts is not None
            assert item.time_base is not None
            time = item.pts * item.time_base
            if isinstance(item, av.VideoFrame):
                times.append(time)
                lumas.append(float(item.to_ndarray()[: item.height].mean()))
                if item.key_frame:
                    keys.append(time)
            else:
                audio_start = time if audio_start is None else audio_start
                parts.append(item.to_ndarray()[0].astype(np.float32))
    return Recording(
        frame_times=times,
        keyframe_times=keys,
        lumas=lumas,
        audio_start=audio_start,
        samples=np.concatenate(parts) if parts else np.zeros(0, np.float32),
    )


def frame_times_by_ffmpeg(path: Path | str, *, strict: bool = True) -> list[Fraction]:
    """Times of all frames as the ffmpeg binary decodes them; `strict` allows it no complaint."""
    command = [FFMPEG, "-v", "error", "-i", str(path), "-map", "0:v", "-copyts"]
    command += ["-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-f", "framecrc", "-"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=strict)
    if strict:
        assert run.stderr == ""
    rows = [line for line in run.stdout.splitlines() if not line.startswith("#")]
    return [Fraction(int(row.split(",")[2]), CLOCK_HZ) for row in rows]


def run_python(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, since a limit on resources holds for all of one."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{script}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
