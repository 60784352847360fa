"""One stream's way from decoded LR frames to its outputs, on a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from decoder.load import Load
from decoder.output_options import PLAIN, OutputOptions
from decoder.output_timeline import OutputTimeline
from decoder.outputs import Outputs, Tap
from decoder.pipeline_counts import PipelineCounts
from decoder.restorer import Restorer
from decoder.session import Session
from decoder.weight_mailbox import WeightMailbox
from stream.audio import AudioChunk, audio_pts
from stream.buffer import BufferClosed, LatestBuffer
from stream.errors import EdvrError, FrameError
from stream.frame import Frame
from stream.stats import Percentiles

_log = logging.getLogger(__name__)

DRAIN_S = 3.0
"""At the end, for what is decoded but not restored; the rest is dropped."""

CLOSE_S = 15.0
"""For the last frames to be restored and all outputs to be finished."""

LOG_INTERVAL_S = 10.0
"""At most one line about dropped frames in this time."""

STAGES = ("wait", "total")


class Pipeline:
    """Takes sessions one after another, restores, and feeds every sink.

    Outputs live as long as the pipeline: a publisher that reconnects continues the same file.
    """

    def __init__(
        self,
        name: str,
        open_restorer: Callable[[], Restorer],
        outputs: tuple[str, ...],
        *,
        lr_outputs: tuple[str, ...] = (),
        tap: Tap | None = None,
        lr_tap: Tap | None = None,
        output_options: OutputOptions = PLAIN,
        on_failure: Callable[[EdvrError], None],
    ) -> None:
        """open_restorer: called once, on the pipeline's thread, which then owns and closes it.

        lr_outputs: where the pictures go as they travelled, before restoration. tap and lr_tap
        look on at both.
        on_failure: called once, from the pipeline's thread, when it cannot go on.
        """
        self.name = name
        self.weights = WeightMailbox()  # on the session's time
        self._open_restorer, self._on_failure = open_restorer, on_failure
        self._latency_ms = {stage: Percentiles() for stage in STAGES}
        self._timeline, self._load = OutputTimeline(), Load()
        self._outputs = Outputs(outputs, options=output_options, tap=tap)
        self._lr_outputs = Outputs(lr_outputs, options=output_options, tap=lr_tap)
        self._dropped_before, self._dropped_logged = 0, 0  # by earlier buffers, and skipped
        self._logged_s = float("-inf")
        # Shared with other threads, under the lock:
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._next_session: Session | None = None
        self._counts = PipelineCounts()
        self._mapped: tuple[LatestBuffer[Frame], int] | None = None
        self._timings: dict[str, Percentiles] = self._latency_ms
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"restorer {name}", daemon=True)
        self._thread.start()

    def attach(self, video: LatestBuffer[Frame], audio: LatestBuffer[AudioChunk]) -> None:
        """Take frames from this session from now on; the one before is left."""
        with self._lock:
            self._next_session = Session(video=video, audio=audio)
        self._wake.set()

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Restore what is waiting, finalise all outputs, end the thread; callable twice."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            _log.warning("stream %s: not finished after %g s, left behind", self.name, timeout_s)

    def counts(self) -> PipelineCounts:
        """A snapshot; callable from any thread."""
        with self._lock:
            dropped = self._dropped_before
            dropped += self._session.video.dropped if self._session is not None else 0
            return replace(
                self._counts,
                frames_in=self._counts.frames_in + dropped,
                frames_dropped=dropped,
                sinks=self._outputs.counters(),
            )

    def output_pts(self, video: LatestBuffer[Frame], pts: int) -> int | None:
        """When a picture of a session (the one with that buffer) is put out; None if not known."""
        mapped = self._mapped
        return pts + mapped[1] if mapped is not None and mapped[0] is video else None

    def stage_percentiles(self) -> dict[str, Percentiles]:
        """Latency in ms by stage.

        wait: packet in to restoration begun (decoding, queue); the Restorer's own stages; total:
        packet in to restored frame out.
        """
        with self._lock:
            return self._timings

    def _run(self) -> None:
        restorer: Restorer | None = None
        try:
            restorer = self._open_restorer()
            with self._lock:
                wait, total = (self._latency_ms[stage] for stage in STAGES)
                self._timings = {"wait": wait, **restorer.timings, "total": total}
            self._serve(restorer)
        except EdvrError as error:
            self._on_failure(error)
        except Exception as error:  # a defect must be seen, not leave the stream silent
            _log.exception("stream %s: restoring failed", self.name)
            self._on_failure(EdvrError(f"stream {self.name}: restoring failed: {error}"))
        finally:
            self._outputs.close()
            self._lr_outputs.close()
            if restorer is not None:
                restorer.close()

    def _serve(self, restorer: Restorer) -> None:
        self._note(restorer)
        while not self._stopping.is_set():
            session = self._current_session()
            if session is None:
                self._wake.wait()
                self._wake.clear()
            else:
                self._take(session, restorer, timeout_s=session.idle_s)
        last, deadline_s = self._current_session(), time.monotonic() + DRAIN_S
        while last is not None and time.monotonic() < deadline_s:
            last = last if self._take(last, restorer, timeout_s=0) else None
        with self._lock:
            self._leave_session()
        self._show_all(restorer)

    def _current_session(self) -> Session | None:
        with self._lock:
            if self._next_session is not None:
                self._leave_session()
                self._session, self._next_session = self._next_session, None
            return self._session

    def _leave_session(self) -> None:
        if self._session is not None:
            self._dropped_before += self._session.video.dropped + len(self._session.video)
            self._session = None

    def _take(self, session: Session, restorer: Restorer, *, timeout_s: float) -> bool:
        """Handle the session's next frame, or its silence; whether there was a frame."""
        try:
            frame = session.video.get(timeout_s)
        except BufferClosed:
            frame = None
            with self._lock:
                self._leave_session()
        self._hold_audio(session)
        if frame is None:
            self._show_all(restorer)
            return False
        now_ms = 1000 * time.monotonic()
        frame = self._newest_worth_restoring(session, frame, now_ms)
        self._begin(session, frame, restorer)
        if frame.entered_ms is not None:
            self._latency_ms["wait"].add(now_ms - frame.entered_ms)
        waiting = 0 if session.video.closed else len(session.video)
        self._load.choose_tier(restorer, frame, waiting=waiting, now_ms=now_ms)
        out_pts = self._timeline.map(frame.pts, now_ms=now_ms)
        self._mapped = session.video, self._timeline.shift
        for weights in self.weights.take():
            restorer.adapt(weights.later(self._timeline.shift))
        self._lr_outputs.expect(out_pts)
        self._lr_outputs.put_frame(frame.at(out_pts))
        self._outputs.expect(out_pts)
        try:
            done = restorer.push(frame.at(out_pts))
            self._load.note(restorer, took_ms=1000 * time.monotonic() - now_ms)
            self._emit(done)
        except FrameError as error:  # the peer's fault: the next frame may be better
            self._note(restorer, taken=frame, unusable=1)
            self._log_sometimes("a frame cannot be restored: %s", error)
        else:
            self._note(restorer, taken=frame)
        return True

    def _newest_worth_restoring(self, session: Session, frame: Frame, now_ms: float) -> Frame:
        """`frame`, or a newer one when restoration is behind; counts and tells what is skipped."""
        if session.video.closed or self._stopping.is_set():
            return frame  # nobody waits for newer ones
        overflow = session.video.dropped
        excess = self._load.excess(
            wait_ms=0.0 if frame.entered_ms is None else now_ms - frame.entered_ms,
            waiting=len(session.video),
            now_ms=now_ms,
            has_overflowed=overflow > session.overflow,
        )
        session.overflow = overflow
        for _ in range(excess):
            newer = session.video.get(0)
            if newer is None:
                break
            frame = newer
            with self._lock:
                self._dropped_before += 1
        dropped = self._dropped_before + overflow
        if dropped > self._dropped_logged and self._log_sometimes(
            "restoration is slower than the stream, %d frames dropped so far", dropped
        ):
            self._dropped_logged = dropped
        return frame

    def _begin(self, session: Session, frame: Frame, restorer: Restorer) -> None:
        """Say and do what a first frame, or one of another size, asks for."""
        if session.last is None:
            self._emit(restorer.flush())
            self._timeline.start_session()
            _log.info("stream %s: receiving %s", self.name, frame.size)
        elif session.last.size != frame.size:
            _log.info(
                "stream %s: the picture changed from %s to %s, the output stays %s",
                self.name,
                session.last.size,
                frame.size,
                restorer.output_size,
            )
        session.note(frame)

    def _show_all(self, restorer: Restorer) -> None:
        """Nothing more is coming soon: hand out what waits for it."""
        self._emit(restorer.flush())
        self._outputs.settle()
        self._lr_outputs.settle()
        self._note(restorer)

    def _emit(self, frames: list[Frame]) -> None:
        for frame in frames:
            if frame.entered_ms is not None:
                self._latency_ms["total"].add(1000 * time.monotonic() - frame.entered_ms)
            with self._lock:
                restored = self._counts.frames_restored + 1
                self._counts = replace(self._counts, frames_restored=restored)
            self._outputs.put_frame(frame)

    def _hold_audio(self, session: Session) -> None:
        """Keep sound back until its picture is restored, on the output's time."""
        while len(session.audio):
            try:
                chunk = session.audio.get(0)
            except BufferClosed:
                return
            if chunk is not None and session.last is not None:
                shifted = chunk.pts + audio_pts(self._timeline.shift)
                self._outputs.hold_audio(replace(chunk, pts=shifted))

    def _note(self, restorer: Restorer, *, taken: Frame | None = None, unusable: int = 0) -> None:
        with self._lock:
            self._counts = replace(
                self._counts,
                frames_in=self._counts.frames_in + (taken is not None),
                frames_unusable=self._counts.frames_unusable + unusable,
                frames_failed=restorer.counts.failed,
                frames_held=restorer.counts.held,
                frames_by_tier=restorer.counts.by_tier,
                model=restorer.model_name,
                backend=restorer.backend_name,
                weights=restorer.weights_name,
                lr_size=self._counts.lr_size if taken is None else taken.size,
                hr_size=restorer.output_size,
            )

    def _log_sometimes(self, message: str, value: object) -> bool:
        if time.monotonic() - self._logged_s < LOG_INTERVAL_S:
            return False
        self._logged_s = time.monotonic()
        _log.warning(f"stream %s: {message}", self.name, value)
        return True
