"""A recording in files of a fixed length, each of which can be played, moved or deleted alone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from decoder.sink import FileTarget, Sink, public_name
from stream.audio import AudioChunk, audio_pts
from stream.frame import CLOCK_HZ, Frame

_log = logging.getLogger(__name__)

_CLOCK_RESTARTS = CLOCK_HZ
"""Timestamps that step back by more than 1 s begin anew (`decoder.sinks.timeline`)."""


def segment_path(path: Path, when: datetime) -> Path:
    """`show.mp4` begun at some time (UTC): `show-20261121T000500Z.mp4`, or the next free name."""
    stamped = path.with_stem(f"{path.stem}-{when:%Y%m%dT%H%M%SZ}")
    number, free = 1, stamped
    while free.exists():
        number += 1
        free = stamped.with_stem(f"{stamped.stem}-{number}")
    return free


class SegmentedSink:
    """See `decoder.sink.Sink` for the contract.

    Each file starts with the first picture at or after its time, which is coded as a keyframe, and
    with the sound from that moment on: no picture is lost between two files.
    """

    def __init__(
        self,
        target: FileTarget,
        open_file: Callable[[FileTarget], Sink],
        *,
        segment_s: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """open_file: opens one file. now: wall clock, for the names."""
        self._target, self._open_file, self._now = target, open_file, now
        self._duration = round(segment_s * CLOCK_HZ)
        self._file: Sink | None = None
        self._ends_pts: int | None = None
        self._last_pts = 0
        self._last_sound: AudioChunk | None = None
        self._bytes_before = 0

    @property
    def name(self) -> str:
        """The target as it was given."""
        return public_name(self._target)

    @property
    def bytes_written(self) -> int:
        """Over all files."""
        return self._bytes_before + (0 if self._file is None else self._file.bytes_written)

    def write_video(self, frame: Frame) -> bool:
        """See `Sink.write_video`."""
        if self._ends_pts is None or frame.pts < self._last_pts - _CLOCK_RESTARTS:
            self._ends_pts = frame.pts + self._duration
        elif frame.pts >= self._ends_pts:
            self._close_file()
            # On the grid of the first file, so that they do not drift; later after a gap.
            missed = (frame.pts - self._ends_pts) // self._duration
            self._ends_pts += (1 + missed) * self._duration
            sound = _after(self._last_sound, audio_pts(frame.pts))
            if sound is not None:
                self._current().write_audio(sound)
        self._last_pts = frame.pts
        return self._current().write_video(frame)

    def write_audio(self, chunk: AudioChunk) -> None:
        """See `Sink.write_audio`."""
        self._last_sound = chunk
        self._current().write_audio(chunk)

    def close(self) -> None:
        """Finish the last file."""
        self._close_file()

    def _current(self) -> Sink:
        if self._file is None:
            path = segment_path(self._target.path, self._now())
            self._file = self._open_file(replace(self._target, path=path))
            _log.info("recording to %s", path)
        return self._file

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            finally:
                self._bytes_before += file.bytes_written


def _after(chunk: AudioChunk | None, pts: int) -> AudioChunk | None:
    """What of a chunk sounds at `pts` (1/48000 s) and later; None when nothing does."""
    skipped = 0 if chunk is None else max(0, pts - chunk.pts)
    if chunk is None or skipped >= len(chunk.samples):
        return None
    return replace(chunk, samples=chunk.samples[skipped:], pts=chunk.pts + skipped)
