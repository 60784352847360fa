"""Cuts chunks of any length into the fixed frames that a codec takes."""

from __future__ import annotations

import numpy as np

from stream.audio import CHANNELS, SAMPLE_RATE_HZ, AudioChunk

TOLERANCE_SAMPLES = SAMPLE_RATE_HZ // 100
"""10 ms: below this, a pts that does not follow on is rounding or jitter of the source."""


class AudioFramer:
    """Frames of exactly `frame_samples`, continuous while the chunks are.

    Where chunks leave a gap or start over, the unfinished frame is completed with silence.
    """

    def __init__(self, frame_samples: int) -> None:
        self._frame_samples = frame_samples
        self._pending = np.empty((0, CHANNELS), np.int16)
        self._pts = 0  # of the first pending sample
        self._entered_ms: float | None = None

    def push(self, chunk: AudioChunk) -> list[AudioChunk]:
        """The frames that `chunk` completes."""
        frames: list[AudioChunk] = []
        if not len(self._pending):
            self._pts = chunk.pts
        elif abs(chunk.pts - self._pts - len(self._pending)) > TOLERANCE_SAMPLES:
            silence = self._frame_samples - len(self._pending)
            self._pending = np.pad(self._pending, ((0, silence), (0, 0)))
            frames += self._cut()
            self._pts = chunk.pts
        self._pending = np.concatenate((self._pending, chunk.samples))
        self._entered_ms = chunk.entered_ms
        return frames + self._cut()

    def _cut(self) -> list[AudioChunk]:
        count = len(self._pending) // self._frame_samples
        size = self._frame_samples
        frames = [
            AudioChunk(
                samples=self._pending[index * size : (index + 1) * size],
                pts=self._pts + index * size,
                entered_ms=self._entered_ms,
            )
            for index in range(count)
        ]
        self._pending = self._pending[count * size :]
        self._pts += count * size
        return frames
