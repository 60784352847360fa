"""All outputs of one stream: opened when its first pictures are there, fed in order of time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from decoder.frame_rate import FrameRateGuess
from decoder.output_options import PLAIN, OutputOptions
from decoder.sink_thread import SinkCounters, SinkThread, start_sink
from stream.audio import AudioChunk, audio_pts
from stream.frame import Frame

HELD_AUDIO_CHUNKS = 250
"""5 s of sound that waits for its pictures."""

CLOSE_S = 8.0
"""How long all sinks together may take to finish."""


Tap = Callable[[Frame | AudioChunk], None]
"""Looks on: gets whatever the sinks get, when they get it, and must not block."""


class Outputs:
    """One thread a sink, which starts with the first frames, whose rate it needs to know.

    One thread calls the methods; `counters` may be called from any.
    """

    def __init__(
        self,
        targets: tuple[str, ...],
        *,
        options: OutputOptions = PLAIN,
        tap: Tap | None = None,
    ) -> None:
        self._targets, self._options, self._tap = targets, options, tap
        self._is_open = False
        self._frame_rate = FrameRateGuess()
        self._early: list[Frame] = []  # until the frame rate is known: at most a few
        self._audio: deque[AudioChunk] = deque(maxlen=HELD_AUDIO_CHUNKS)
        self._lock = threading.Lock()
        self._sinks: tuple[SinkThread, ...] = ()

    def expect(self, pts: int) -> None:
        """Tell the output pts (1/90000 s) of a frame that is being restored."""
        self._frame_rate.add(pts)

    def put_frame(self, frame: Frame) -> None:
        """Hand a restored frame to every sink, and the sound up to it. Raises ConfigError."""
        if not self._is_open:
            self._early.append(frame)
            if self._frame_rate.is_ready:
                self._open()
            return
        self._hand_out(frame)

    def hold_audio(self, chunk: AudioChunk) -> None:
        """Take sound on the output's time; it goes out with its picture."""
        self._audio.append(chunk)

    def settle(self) -> None:
        """No frame will come soon: hand out everything that waits for one. Raises ConfigError."""
        if self._early:
            self._open()
        if self._is_open:
            self._release_audio(None)

    def counters(self) -> tuple[SinkCounters, ...]:
        """What each sink did so far; callable from any thread."""
        with self._lock:
            return tuple(sink.counters() for sink in self._sinks)

    def close(self) -> None:
        """Finalise every output."""
        deadline_s = time.monotonic() + CLOSE_S
        for sink in self._sinks:
            sink.close(timeout_s=max(0.5, deadline_s - time.monotonic()))

    def _open(self) -> None:
        size, fps = self._early[0].size, self._frame_rate.fps
        opened = tuple(
            start_sink(target, size=size, frame_rate=fps, with_audio=True, options=self._options)
            for target in self._targets
        )
        with self._lock:
            self._sinks = opened
        self._is_open = True
        early, self._early = self._early, []
        for frame in early:
            self._hand_out(frame)

    def _hand_out(self, frame: Frame) -> None:
        self._hand_to_all(frame)
        self._release_audio(frame.pts)

    def _release_audio(self, until: int | None) -> None:
        """Hand on sound up to a picture's time (1/90000 s); all of it for None."""
        limit = None if until is None else audio_pts(until)
        while self._audio and (limit is None or self._audio[0].pts <= limit):
            chunk = self._audio.popleft()
            self._hand_to_all(chunk)

    def _hand_to_all(self, item: Frame | AudioChunk) -> None:
        for sink in self._sinks:
            sink.put(item)
        if self._tap is not None:
            self._tap(item)
