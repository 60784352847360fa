"""Where frames and sound belong on an output's own clock, which starts at 0 for both tracks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.audio import CHANNELS, SAMPLE_RATE_HZ, AudioChunk, audio_pts
from stream.frame import CLOCK_HZ

_DRIFT_TOLERANCE = SAMPLE_RATE_HZ // 100
"""10 ms: half an Opus frame. Less is rounding of timestamps, more is lost or repeated sound."""

_LONGEST_SILENCE = 60 * SAMPLE_RATE_HZ
"""60 s: sound from further ahead than that belongs to a clock the video has not reached."""

_LATE = CLOCK_HZ // 2
"""0.5 s: a frame older than the last by less is late; by more, the source's clock has restarted."""

_LONGEST_GAP = 60 * CLOCK_HZ
"""60 s: a larger step forward is a restarted clock too, not a pause."""


class Timeline:
    """Maps source timestamps to output time, by one shift for both tracks; pure.

    The first frame is at 0. A clock that restarts (a new sender session) is joined on one frame
    after the last, so that one file or one push survives it.
    """

    def __init__(self, *, frame_duration: int) -> None:
        """frame_duration: nominal distance of two frames in 1/90000 s."""
        self._frame_duration = frame_duration
        self._origin: int | None = None
        self._last_pts = -1
        self._samples_placed = 0

    @property
    def has_started(self) -> bool:
        """Whether a frame was placed, without which sound has no place either."""
        return self._origin is not None

    def place_video(self, pts: int) -> int | None:
        """Output time of a frame in 1/90000 s, larger than any before; None for a late frame."""
        if self._origin is None:
            self._origin = pts
        placed = pts - self._origin
        step = placed - self._last_pts
        if self._last_pts >= 0 and (step < -_LATE or step > _LONGEST_GAP):
            placed = self._last_pts + self._frame_duration
            self._origin = pts - placed
        elif step <= 0:
            return None
        self._last_pts = placed
        return placed

    def place_audio(self, chunk: AudioChunk) -> NDArray[np.int16] | None:
        """The samples to append to the sound so far: int16 (n, 2), n >= 1.

        Silence is put in front where sound is missing, and what overlaps earlier sound (or lies
        before the first frame) is cut away; None when nothing is left. The track so stays within
        10 ms of its timestamps.
        """
        if self._origin is None:
            return None
        drift = chunk.pts - audio_pts(self._origin) - self._samples_placed
        if drift > _LONGEST_SILENCE:
            return None
        samples = chunk.samples
        if abs(drift) >= _DRIFT_TOLERANCE or not self._samples_placed:
            if drift > 0:
                silence = np.zeros((drift, CHANNELS), np.int16)
                samples = np.concatenate([silence, samples])
            else:
                samples = samples[-drift:]
        self._samples_placed += len(samples)
        return samples if len(samples) else None
