"""The one sound type of the live path: interleaved 16-bit stereo at 48 kHz."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.errors import FrameError
from stream.frame import CLOCK_HZ

SAMPLE_RATE_HZ = 48_000
"""RTP clock of Opus at any coded bandwidth (RFC 7587 section 4.1): unit of `AudioChunk.pts`."""

CHANNELS = 2
"""Opus over RTP is always signalled as stereo (RFC 7587 section 7)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AudioChunk:
    """A stretch of sound.

    samples: int16 (n, 2), n >= 1, interleaved left and right; not written after.
    pts: time of the first sample in 1/48000 s, on the zero of the video's `Frame.pts`.
    entered_ms: monotonic time at which it entered this process; None offline.

    Raises FrameError when shape or dtype differ.
    """

    samples: NDArray[np.int16]
    pts: int
    entered_ms: float | None = None

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.shape[1] != CHANNELS or not len(self.samples):
            raise FrameError(
                f"samples must be (n, {CHANNELS}) with n >= 1, got {self.samples.shape}"
            )
        if self.samples.dtype != np.int16:
            raise FrameError(f"samples must be int16, got {self.samples.dtype}")

    @property
    def end_pts(self) -> int:
        """Time just after the last sample, in 1/48000 s."""
        return self.pts + len(self.samples)


def audio_pts(video_pts: int) -> int:
    """A time in 1/90000 s as the nearest 1/48000 s."""
    return round(video_pts * SAMPLE_RATE_HZ / CLOCK_HZ)


def video_pts(audio_pts: int) -> int:
    """A time in 1/48000 s as the nearest 1/90000 s."""
    return round(audio_pts * CLOCK_HZ / SAMPLE_RATE_HZ)
