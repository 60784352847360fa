"""Video and audio of a file in the order of their times. Pure."""

from __future__ import annotations

from collections import deque

from stream.audio import AudioChunk, video_pts
from stream.frame import Frame

MAX_HELD_VIDEO_BYTES = 128 * 1024 * 1024
"""About 90 frames of 720p: files interleave their tracks within a second or so."""

MAX_HELD_CHUNKS = 500
"""10 s of 20 ms chunks."""


class Interleaver:
    """Holds back the track that is ahead until the other one has caught up.

    Containers store up to a second of one track before the other. Paced in that order, the late
    track would stall and then burst. A track that stays away until a bound is reached (sound that
    ends early) is no longer waited for, until it comes back.
    """

    def __init__(self) -> None:
        self._video: deque[Frame] = deque()
        self._audio: deque[AudioChunk] = deque()
        self._waits = True

    def push(self, item: Frame | AudioChunk) -> list[Frame | AudioChunk]:
        """Add an item; returns what is now in order, oldest first."""
        if isinstance(item, Frame):
            self._video.append(item)
        else:
            self._audio.append(item)
        if self._video and self._audio:
            self._waits = True
        elif self._is_full():
            self._waits = False
        ready: list[Frame | AudioChunk] = []
        while (self._video and self._audio) or (not self._waits and (self._video or self._audio)):
            ready.append(self._next())
        return ready

    def flush(self) -> list[Frame | AudioChunk]:
        """Everything that is still held, oldest first."""
        ready: list[Frame | AudioChunk] = []
        while self._video or self._audio:
            ready.append(self._next())
        return ready

    def _is_full(self) -> bool:
        held_bytes = len(self._video) * self._video[0].y.nbytes * 3 // 2 if self._video else 0
        return held_bytes > MAX_HELD_VIDEO_BYTES or len(self._audio) > MAX_HELD_CHUNKS

    def _next(self) -> Frame | AudioChunk:
        if not self._audio:
            return self._video.popleft()
        if not self._video or video_pts(self._audio[0].pts) < self._video[0].pts:
            return self._audio.popleft()
        return self._video.popleft()
