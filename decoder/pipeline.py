"""One stream's way from decoded LR frames to its outputs, on a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from decoder.config import RestorerConfig
from decoder.output_timeline import OutputTimeline
from decoder.restorer import Restorer
from decoder.sink_thread import SinkCounters, SinkThread, start_sink
from stream.audio import AudioChunk, audio_pts
from stream.buffer import BufferClosed, LatestBuffer
from stream.errors import EdvrError
from stream.frame import Frame, Size
from stream.stats import Percentiles

_log = logging.getLogger(__name__)

IDLE_FLUSH_S = 0.25
"""Without a new frame for this long, waiting ones are shown without their future."""

HELD_AUDIO_CHUNKS = 250
"""5 s of sound that waits for its pictures."""

DEFAULT_FRAME_RATE = 25.0
STAGES = ("wait", "extract", "fuse", "resize", "total")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineCounts:
    """What became of the frames of one stream so far, over all its sessions.

    frames_in: decoded and taken; frames_dropped: decoded, but pushed out by newer ones because
    restoration was behind. sinks: what each output did.
    """

    frames_in: int
    frames_restored: int
    frames_dropped: int
    model: str
    backend: str | None
    lr_size: Size | None
    hr_size: Size | None
    sinks: tuple[SinkCounters, ...]


class Pipeline:
    """Takes sessions one after another, restores, and feeds every sink.

    Outputs live as long as the pipeline: a publisher that reconnects continues the same file.
    """

    def __init__(
        self,
        name: str,
        config: RestorerConfig,
        outputs: tuple[str, ...],
        *,
        on_failure: Callable[[EdvrError], None],
    ) -> None:
        """on_failure: called once, from the pipeline's thread, when it cannot go on."""
        self.name = name
        self.latency_ms = {stage: Percentiles() for stage in STAGES}
        self._config, self._outputs, self._on_failure = config, outputs, on_failure
        self._restorer = Restorer(config)
        self._timeline = OutputTimeline()
        self._sinks: list[SinkThread] = []
        self._audio: deque[AudioChunk] = deque(maxlen=HELD_AUDIO_CHUNKS)
        self._session: _Session | None = None
        self._frames_in = self._frames_out = self._dropped_before = 0
        self._lr_size: Size | None = None
        self._lock = threading.Lock()
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"restorer {name}", daemon=True)
        self._thread.start()

    def attach(self, video: LatestBuffer[Frame], audio: LatestBuffer[AudioChunk]) -> None:
        """Take frames from this session from now on; the one before is left."""
        with self._lock:
            if self._session is not None:
                self._dropped_before += self._session.video.dropped
            self._session = _Session(video=video, audio=audio)
        self._wake.set()

    def close(self, timeout_s: float = 10.0) -> None:
        """Restore what is waiting, finalise all outputs, end the thread; callable twice."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def counts(self) -> PipelineCounts:
        """A snapshot; callable from any thread."""
        with self._lock:
            dropped = self._dropped_before
            dropped += self._session.video.dropped if self._session is not None else 0
            return PipelineCounts(
                frames_in=self._frames_in,
                frames_restored=self._frames_out,
                frames_dropped=dropped,
                model=self._restorer.model_name,
                backend=self._restorer.backend_name,
                lr_size=self._lr_size,
                hr_size=self._restorer.output_size,
                sinks=tuple(sink.counters() for sink in self._sinks),
            )

    def stage_percentiles(self) -> dict[str, Percentiles]:
        """Latency by stage in ms: waiting (decoding and queue), network, resizing, and in all."""
        return self.latency_ms | self._restorer.timings

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                with self._lock:
                    session = self._session
                if session is None:
                    self._wake.wait(0.2)
                    self._wake.clear()
                    continue
                self._take(session)
            self._emit(self._restorer.flush())
            self._release_audio(None)
        except EdvrError as error:
            self._on_failure(error)
        except Exception as error:  # a defect must be seen, not leave the stream silent
            _log.exception("stream %s: restoring failed", self.name)
            self._on_failure(EdvrError(f"stream {self.name}: restoring failed: {error}"))
        finally:
            for sink in self._sinks:
                sink.close(timeout_s=8.0)
            self._restorer.close()

    def _take(self, session: _Session) -> None:
        """Handle the session's next frame, or its silence."""
        try:
            frame = session.video.get(IDLE_FLUSH_S)
        except BufferClosed:
            frame = None
            with self._lock:
                if self._session is session:
                    self._dropped_before += session.video.dropped
                    self._session = None
        self._hold_audio(session)
        if frame is None:
            self._emit(self._restorer.flush())
            self._release_audio(None)
            return
        now_ms = 1000 * time.monotonic()
        if not session.has_started:
            session.has_started = True
            self._emit(self._restorer.flush())
            self._timeline.start_session()
            _log.info("stream %s: receiving %s", self.name, frame.size)
        if frame.entered_ms is not None:
            self.latency_ms["wait"].add(now_ms - frame.entered_ms)
        with self._lock:
            self._frames_in += 1
            self._lr_size = frame.size
        out_pts = self._timeline.map(frame.pts, now_ms=now_ms)
        self._emit(self._restorer.push(frame.at(out_pts)))

    def _emit(self, frames: list[Frame]) -> None:
        for frame in frames:
            if not self._sinks:
                self._open_sinks(frame.size)
            if frame.entered_ms is not None:
                self.latency_ms["total"].add(1000 * time.monotonic() - frame.entered_ms)
            for sink in self._sinks:
                sink.put(frame)
            with self._lock:
                self._frames_out += 1
            self._release_audio(frame.pts)

    def _open_sinks(self, size: Size) -> None:
        opened = [
            start_sink(output, size=size, frame_rate=DEFAULT_FRAME_RATE, with_audio=True)
            for output in self._outputs
        ]
        with self._lock:
            self._sinks = opened

    def _hold_audio(self, session: _Session) -> None:
        """Keep sound back until its picture is restored, on the output's time."""
        while len(session.audio):
            try:
                chunk = session.audio.get(0)
            except BufferClosed:
                return
            if chunk is not None and session.has_started:
                shifted = chunk.pts + audio_pts(self._timeline.shift)
                self._audio.append(replace(chunk, pts=shifted))

    def _release_audio(self, until: int | None) -> None:
        """Hand on sound up to a picture's time (1/90000 s); all of it for None."""
        limit = None if until is None else audio_pts(until)
        while self._audio and (limit is None or self._audio[0].pts <= limit):
            chunk = self._audio.popleft()
            for sink in self._sinks:
                sink.put(chunk)


@dataclass(slots=True, kw_only=True)
class _Session:
    """One publisher's buffers. Changed only by the pipeline's thread."""

    video: LatestBuffer[Frame]
    audio: LatestBuffer[AudioChunk]
    has_started: bool = False
