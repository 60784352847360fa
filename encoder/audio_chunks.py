"""Sound of any block size cut into even chunks on the common clock. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.audio import CHANNELS, SAMPLE_RATE_HZ, AudioChunk

CHUNK_SAMPLES = SAMPLE_RATE_HZ // 50
"""20 ms: the frame that Opus is sent in by default (RFC 7587 section 4.2)."""

TOLERANCE_SAMPLES = SAMPLE_RATE_HZ // 25
"""40 ms: smaller differences between clock and sample count are jitter of the container."""

MAX_SILENCE_SAMPLES = 10 * SAMPLE_RATE_HZ
"""Longest gap filled with silence; after a longer one the next chunk simply is later."""


class AudioChunker:
    """Collects blocks of samples and hands out chunks of CHUNK_SAMPLES.

    Blocks are joined seamlessly while their pts agree with the count of samples within 40 ms.
    A larger gap is filled with silence, an overlap is cut off the newer block: so sound and
    picture never drift apart by more than 40 ms, and the receiver never sees a hole.
    """

    def __init__(self) -> None:
        self._held = np.empty((0, CHANNELS), np.int16)
        self._held_pts: int | None = None

    def push(self, samples: NDArray[np.int16], *, pts: int) -> list[AudioChunk]:
        """Add a block, int16 (n, 2), whose first sample is due at `pts` (1/48000 s)."""
        chunks: list[AudioChunk] = []
        if self._held_pts is None:
            self._held_pts = pts
        difference = pts - (self._held_pts + len(self._held))
        if difference > MAX_SILENCE_SAMPLES:
            chunks += self.flush()
            self._held_pts = pts
        elif difference > TOLERANCE_SAMPLES:
            silence = np.zeros((difference, CHANNELS), np.int16)
            samples = np.concatenate((silence, samples))
        elif difference < -TOLERANCE_SAMPLES:
            samples = samples[-difference:]
        self._held = np.concatenate((self._held, samples))
        while len(self._held) >= CHUNK_SAMPLES:
            chunks.append(self._take())
        return chunks

    def flush(self) -> list[AudioChunk]:
        """Hand out what is left, filled up with silence, and forget the clock."""
        if not len(self._held):
            self._held_pts = None
            return []
        missing = np.zeros((CHUNK_SAMPLES - len(self._held), CHANNELS), np.int16)
        self._held = np.concatenate((self._held, missing))
        last = self._take()
        self._held_pts = None
        return [last]

    def _take(self) -> AudioChunk:
        assert self._held_pts is not None  # set by push before anything is held
        chunk = AudioChunk(samples=self._held[:CHUNK_SAMPLES].copy(), pts=self._held_pts)
        self._held = self._held[CHUNK_SAMPLES:]
        self._held_pts += CHUNK_SAMPLES
        return chunk
