"""One thread for one sink, so that no output can hold up the restoration or another output."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from decoder.output_options import PLAIN, OutputOptions
from decoder.sink import (
    PushTarget,
    Sink,
    WhipTarget,
    check_target,
    open_sink,
    parse_target,
    public_name,
)
from decoder.sink_queue import SinkQueue
from stream.audio import AudioChunk
from stream.backoff import Backoff
from stream.buffer import BufferClosed
from stream.errors import EdvrError, PeerError
from stream.frame import CLOCK_HZ, Frame, Size

QUEUED_FRAMES = 16
"""0.6 s at 25 fps, 22 MB at 1280x720: rides out a disk that stalls, not one that is too slow."""

_ESTABLISHED = 5 * CLOCK_HZ
"""A push that took 5 s of video has a peer; less may only be buffers filling before a refusal."""

_log = logging.getLogger(__name__)


class SinkState(Enum):
    """What a sink is doing."""

    OPENING = "opening"
    WRITING = "writing"
    RECONNECTING = "reconnecting"
    FAILED = "failed"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkCounters:
    """A snapshot of one sink.

    frames_dropped: given to the thread but not in the output, whatever the reason.
    bytes_written: over all connections of a push. reason: the last error, if there was one.
    """

    name: str
    state: SinkState
    frames_written: int
    frames_dropped: int
    chunks_dropped: int
    bytes_written: int
    reason: str | None


def start_sink(
    target: str,
    *,
    size: Size,
    frame_rate: float,
    with_audio: bool,
    options: OutputOptions = PLAIN,
) -> SinkThread:
    """Check `target` (raises ConfigError at once) and give it a running thread.

    A push to a server is reconnected for ever; every other sink ends at its first error.
    """
    parsed = parse_target(target)
    check_target(parsed)
    return SinkThread(
        lambda: open_sink(
            target, size=size, frame_rate=frame_rate, with_audio=with_audio, options=options
        ),
        name=public_name(parsed),
        reconnects=isinstance(parsed, PushTarget | WhipTarget),
    )


class SinkThread:
    """Feeds a sink from a bounded queue; no method but the constructor ever raises.

    A sink that is too slow loses whole frames, the oldest first. A failed one is closed, so that
    what it wrote stays playable, and takes no more; one that reconnects starts over with a fresh
    header and keyframe.
    """

    def __init__(
        self,
        open_one: Callable[[], Sink],
        *,
        name: str,
        reconnects: bool,
        queued_frames: int = QUEUED_FRAMES,
        backoff: Backoff | None = None,
    ) -> None:
        """open_one: opens the sink, on the new thread; called again after each PeerError when
        `reconnects`. name: of the target, without secrets. Raises ValueError for a queue below
        one frame.
        """
        self._open_one = open_one
        self._reconnects = reconnects
        self._backoff = backoff or Backoff()
        self._queue = SinkQueue(capacity=queued_frames)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._name = name
        self._state = SinkState.OPENING
        self._reason: str | None = None
        self._frames_written = 0
        self._frames_lost = 0
        self._earlier_bytes = 0
        self._sink: Sink | None = None
        # A daemon: a pipe whose reader sleeps must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)
        self._thread.start()

    def put(self, item: Frame | AudioChunk) -> None:
        """Hand over a frame or sound; never blocks."""
        self._queue.put(item)

    def counters(self) -> SinkCounters:
        """A snapshot, at any time and from any thread."""
        with self._lock:
            return SinkCounters(
                name=self._name,
                state=self._state,
                frames_written=self._frames_written,
                frames_dropped=self._frames_lost + self._queue.frames_dropped,
                chunks_dropped=self._queue.chunks_dropped,
                bytes_written=self._earlier_bytes + (self._sink.bytes_written if self._sink else 0),
                reason=self._reason,
            )

    def close(self, timeout_s: float) -> bool:
        """Write what is queued, finalise, and wait for it; False when it took too long."""
        self._closing.set()
        self._queue.close()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            _log.warning("%s: not finished after %g s, left behind", self._name, timeout_s)
            return False
        return True

    def _run(self) -> None:
        while True:
            error = self._write_until_error()
            if error is None:
                self._set(SinkState.CLOSED)
                return
            if not (self._reconnects and isinstance(error, PeerError)):
                self._set(SinkState.FAILED, str(error))
                _log.error("%s", error)
                break
            delay_s = self._backoff.next_delay_s()
            self._set(SinkState.RECONNECTING, str(error))
            _log.warning("%s; next attempt in %.1f s", error, delay_s)
            if self._closing.wait(delay_s):
                self._set(SinkState.CLOSED)
                break
            self._queue.clear()  # live goes on with what comes now
        self._queue.close()
        self._queue.clear()

    def _write_until_error(self) -> EdvrError | None:
        """One life of the sink; None when the queue ended and all of it is written."""
        try:
            sink = self._open_one()
        except EdvrError as error:
            return error
        except Exception as error:  # a bug here must not take the receiver down
            return _unexpected(error)
        with self._lock:
            self._sink = sink
        failure: EdvrError | None = None
        try:
            self._pump(sink)
        except EdvrError as error:
            failure = error
        except Exception as error:  # as above
            failure = _unexpected(error)
        try:
            sink.close()
        except EdvrError as error:
            failure = failure or error
        except Exception as error:  # as above
            failure = failure or _unexpected(error)
        with self._lock:
            self._earlier_bytes += sink.bytes_written
            self._sink = None
        return failure

    def _pump(self, sink: Sink) -> None:
        first_pts: int | None = None
        while True:
            try:
                item = self._queue.get()
            except BufferClosed:
                return
            if isinstance(item, AudioChunk):
                sink.write_audio(item)
                continue
            try:
                kept = sink.write_video(item)
            except BaseException:
                self._count(kept=False)
                raise
            self._count(kept=kept)
            first_pts = item.pts if first_pts is None else first_pts
            if not self._reconnects or item.pts - first_pts >= _ESTABLISHED:
                self._backoff.reset()
                self._set(SinkState.WRITING)
            elif self._state is SinkState.OPENING:
                self._set(SinkState.WRITING)

    def _count(self, *, kept: bool) -> None:
        with self._lock:
            if kept:
                self._frames_written += 1
            else:
                self._frames_lost += 1

    def _set(self, state: SinkState, reason: str | None = None) -> None:
        with self._lock:
            self._state = state
            self._reason = reason or self._reason


def _unexpected(error: Exception) -> EdvrError:
    _log.debug("unexpected failure of a sink", exc_info=error)
    return EdvrError(f"sink failed: {type(error).__name__}: {error}")
