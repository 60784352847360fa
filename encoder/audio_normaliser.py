"""Decoded sound of any kind becomes `AudioChunk`s: 16-bit stereo at 48 kHz, 20 ms each."""

from __future__ import annotations

from typing import cast

import av
import numpy as np
from numpy.typing import NDArray

from encoder.audio_chunks import AudioChunker
from stream.audio import CHANNELS, SAMPLE_RATE_HZ, AudioChunk, audio_pts
from stream.errors import CodecError


class AudioNormaliser:
    """Resamples (libswresample), mixes down to stereo and cuts into chunks. Not thread-safe.

    Mono goes to both sides at full level (libswresample would lower it by 3 dB). The format may
    change at any block; gaps and overlaps are handled by `AudioChunker`.
    """

    def __init__(self) -> None:
        self._resampler: av.AudioResampler | None = None
        self._format: tuple[str, str, int] | None = None
        self._chunker = AudioChunker()
        self._next_pts = 0

    def push(self, block: av.AudioFrame, *, pts: int) -> list[AudioChunk]:
        """Add a decoded block due at `pts` (1/90000 s).

        Raises CodecError when libswresample cannot read its format.
        """
        chunks: list[AudioChunk] = []
        block_format = (block.format.name, block.layout.name, block.sample_rate)
        if block_format != self._format:
            chunks += self._drain()
            is_mono = block.layout.nb_channels == 1
            self._resampler = av.AudioResampler(
                format="s16", layout="mono" if is_mono else "stereo", rate=SAMPLE_RATE_HZ
            )
            self._format = block_format
        # The resampler holds a few samples back, so its output belongs slightly before `pts`.
        due = audio_pts(pts)
        block.pts = None
        return chunks + self._resample(block, due)

    def flush(self) -> list[AudioChunk]:
        """Hand out everything held; the last chunk is filled up with silence."""
        return self._drain() + self._chunker.flush()

    def _drain(self) -> list[AudioChunk]:
        chunks = [] if self._resampler is None else self._resample(None, self._next_pts)
        self._resampler = self._format = None
        return chunks

    def _resample(self, block: av.AudioFrame | None, due: int) -> list[AudioChunk]:
        assert self._resampler is not None  # set by push
        try:
            blocks = self._resampler.resample(block)
        except (av.FFmpegError, ValueError) as error:
            raise CodecError(f"cannot resample the sound: {error}") from error
        chunks: list[AudioChunk] = []
        for resampled in blocks:
            samples = _stereo(resampled)
            if len(samples):
                chunks += self._chunker.push(samples, pts=due)
                due += len(samples)
        self._next_pts = due
        return chunks


def _stereo(block: av.AudioFrame) -> NDArray[np.int16]:
    packed = cast(NDArray[np.int16], block.to_ndarray())  # s16: (1, samples * channels)
    channels = block.layout.nb_channels
    return np.repeat(packed.reshape(-1, channels), CHANNELS // channels, axis=1)
