"""Compression of one picture for all who view it: once for each codec that somebody needs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from decoder.live_h264 import LiveQuality
from decoder.sink_queue import SinkQueue
from decoder.viewing.keyframe_gate import KeyframeGate
from decoder.viewing.view_codec import ViewAudio, ViewVideo
from stream.audio import AudioChunk
from stream.buffer import BufferClosed
from stream.coded_media import CodedUnit
from stream.errors import CodecError
from stream.frame import CLOCK_HZ, Frame

QUEUED_FRAMES = 6
"""0.25 s at 25 fps: viewers are live, and miss pictures rather than fall behind."""

CLOSE_S = 5.0

MOST_SHARE = 0.5
"""Of the time between two pictures: a codec that takes more is given up."""

SHARE_FRAMES = 50
"""Pictures that this is averaged over."""

ALWAYS = "h264"
"""The codec that is never given up."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class CompressionCounts:
    """frames_dropped: since compressing was behind; the others are of what was compressed."""

    frames_encoded: int = 0
    keyframes_encoded: int = 0
    bytes_encoded: int = 0
    frames_dropped: int = 0


class TooSlow:
    """Finds out whether a codec takes too long for its stream. Pure."""

    def __init__(self) -> None:
        self._frames = 0
        self._share = 0.0
        self._last_pts: int | None = None

    def note(self, *, pts: int, took_s: float) -> bool:
        """Whether compressing takes too large a share of the time, the picture at pts included."""
        last, self._last_pts = self._last_pts, pts
        if last is None or not 0 < pts - last <= CLOCK_HZ:
            return False
        self._frames += 1
        share = took_s * CLOCK_HZ / (pts - last)
        self._share += (share - self._share) / min(self._frames, SHARE_FRAMES)
        return self._frames >= SHARE_FRAMES and self._share > MOST_SHARE


class Compression:
    """A queue and a thread, from the first viewer to the last; methods may be called from any."""

    def __init__(
        self, name: str, quality: LiveQuality, *, deliver: Callable[[list[CodedUnit]], None]
    ) -> None:
        """deliver: takes what was compressed, on the thread of this."""
        self._name, self._quality, self._deliver = name, quality, deliver
        self._queue = SinkQueue(capacity=QUEUED_FRAMES)
        self._gates: dict[str, KeyframeGate] = {}
        self._codecs: frozenset[str] = frozenset()
        self._given_up: frozenset[str] = frozenset()
        self._counts = CompressionCounts()
        self._lock = threading.Lock()  # guards everything above
        self._thread = threading.Thread(target=self._run, name=f"view {name}", daemon=True)
        self._thread.start()

    def put(self, item: Frame | AudioChunk) -> None:
        """Take what is to be compressed; never blocks."""
        if self._codecs or isinstance(item, AudioChunk):
            self._queue.put(item)

    def need(self, codecs: frozenset[str]) -> None:
        """The codecs that pictures are needed in from now on."""
        with self._lock:
            self._codecs = codecs

    @property
    def given_up(self) -> frozenset[str]:
        """Codecs that this machine is too slow for, or does not have."""
        return self._given_up

    def request_keyframe(self, viewer: object, codec: str) -> None:
        """A viewer cannot go on without one."""
        with self._lock:
            self._gate(codec).request(viewer, now_ms=_now_ms())

    def forget(self, viewer: object) -> None:
        """The viewer has left."""
        with self._lock:
            for gate in self._gates.values():
                gate.forget(viewer)

    def counts(self) -> CompressionCounts:
        """A snapshot."""
        with self._lock:
            return CompressionCounts(
                frames_encoded=self._counts.frames_encoded,
                keyframes_encoded=self._counts.keyframes_encoded,
                bytes_encoded=self._counts.bytes_encoded,
                frames_dropped=self._queue.frames_dropped,
            )

    def close(self) -> None:
        """Compress nothing more; returns at once."""
        self._queue.clear()
        self._queue.close()

    def join(self) -> None:
        """After `close`: wait until the thread has ended, some seconds at most."""
        self._thread.join(CLOSE_S)

    def _gate(self, codec: str) -> KeyframeGate:
        return self._gates.setdefault(codec, KeyframeGate())

    def _run(self) -> None:
        videos: dict[str, ViewVideo] = {}
        try:
            self._serve(videos, ViewAudio())
        except BufferClosed:
            return
        finally:
            for video in videos.values():
                video.close()

    def _serve(self, videos: dict[str, ViewVideo], audio: ViewAudio) -> None:
        """Until the queue is closed: BufferClosed then."""
        slowness: dict[str, TooSlow] = {}
        has_failed = False
        while True:
            item = self._queue.get()
            try:
                if isinstance(item, AudioChunk):
                    self._deliver(audio.encode(item))
                    continue
                for codec in sorted(self._codecs - self._given_up):
                    video = videos.setdefault(codec, ViewVideo(self._quality, codec))
                    begun_s = time.monotonic()
                    self._compress(item, codec, video)
                    took_s = time.monotonic() - begun_s
                    slow = slowness.setdefault(codec, TooSlow())
                    if slow.note(pts=item.pts, took_s=took_s) and codec != ALWAYS:
                        self._give_up(codec, "this machine is too slow for it")
            except CodecError as error:
                if not has_failed:
                    _log.warning("view %s: a picture was not sent: %s", self._name, error)
                has_failed = True
            except Exception:  # a defect must be seen, and must not leave the viewers waiting
                _log.exception("view %s: compressing failed", self._name)

    def _compress(self, frame: Frame, codec: str, video: ViewVideo) -> None:
        with self._lock:
            force_keyframe = self._gate(codec).take(now_ms=_now_ms())
        try:
            unit = video.encode(frame, force_keyframe=force_keyframe)
        except CodecError as error:
            if codec == ALWAYS:
                raise
            self._give_up(codec, str(error))
            return
        if unit is None:
            return
        with self._lock:
            self._counts.frames_encoded += 1
            self._counts.keyframes_encoded += unit.is_keyframe
            self._counts.bytes_encoded += unit.size_bytes
        self._deliver([unit])

    def _give_up(self, codec: str, reason: str) -> None:
        _log.warning("view %s: %s instead of %s: %s", self._name, ALWAYS, codec, reason)
        self._given_up |= {codec}
        self._deliver([])  # so that its viewers change over


def _now_ms() -> float:
    return 1000 * time.monotonic()
