"""The thread that owns the source: reads, paces and downscales into bounded buffers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from encoder.pacing import Pacer
from encoder.sizing import Sizing
from encoder.source import Source
from stream.audio import AudioChunk, video_pts
from stream.buffer import LatestBuffer
from stream.errors import EdvrError
from stream.frame import CLOCK_HZ, Frame

_log = logging.getLogger(__name__)

VIDEO_BUFFER_FRAMES = 6
"""What the codec may lag behind before frames are dropped: 0.24 s at 25 frames/s. It catches up at
several times that speed, so this much delay does not last."""

AUDIO_BUFFER_CHUNKS = 25


class CaptureThread:
    """Reads `source` to its end. A file starts when `start` is called and keeps its own speed."""

    def __init__(
        self,
        source: Source,
        *,
        sizing: Sizing,
        duration_s: float | None = None,
    ) -> None:
        """sizing: what shrinks the frames; from now on it belongs to this thread.

        duration_s: stop after this much of the source; None for all of it.
        """
        self.video: LatestBuffer[Frame] = LatestBuffer(VIDEO_BUFFER_FRAMES)
        self.audio: LatestBuffer[AudioChunk] = LatestBuffer(AUDIO_BUFFER_CHUNKS)
        self.finished = threading.Event()
        self.watchers: tuple[Callable[[Frame], None], ...] = ()
        """Are shown every frame before it is shrunk; they may not wait."""
        self.error: EdvrError | None = None
        """Why reading ended early; None at a normal end."""
        self._source, self.sizing = source, sizing
        self._end_pts = None if duration_s is None else round(duration_s * CLOCK_HZ)
        self._released, self._stopping = threading.Event(), threading.Event()
        if source.info.is_live:
            self._released.set()  # a camera does not wait
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    def start(self) -> None:
        """Let a file begin to play."""
        self._released.set()

    def stop(self) -> None:
        """End reading and wait for the thread; callable twice."""
        self._stopping.set()
        self._released.set()
        self._source.close()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        try:
            self._released.wait()
            self._read_all()
        except EdvrError as error:
            self.error = error
        except Exception as error:  # a defect must end the program, not leave it waiting
            _log.exception("capturing failed")
            self.error = EdvrError(f"capturing failed: {error}")
        finally:
            self.finished.set()

    def _read_all(self) -> None:
        pacer = None if self._source.info.is_live else Pacer()
        while not self._stopping.is_set():
            item = self._source.read()
            if item is None:
                return
            pts = item.pts if isinstance(item, Frame) else video_pts(item.pts)
            if self._end_pts is not None and pts >= self._end_pts:
                return
            if pacer is not None:
                self._stopping.wait(pacer.delay_ms(pts, 1000 * time.monotonic()) / 1000)
            entered_ms = 1000 * time.monotonic()
            if isinstance(item, Frame):
                for watch in self.watchers:
                    watch(item)
                small = self.sizing.shrink(item, now_ms=entered_ms)
                self.video.put(replace(small, entered_ms=entered_ms))
            else:
                self.audio.put(item)
