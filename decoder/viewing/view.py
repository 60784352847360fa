"""One picture of one stream, compressed once for all who view it, and not at all for nobody."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from dataclasses import dataclass

from decoder.live_h264 import LiveQuality
from decoder.sink_queue import SinkQueue
from decoder.viewing.keyframe_gate import KeyframeGate
from decoder.viewing.passing import PassedPicture
from decoder.viewing.view_codec import ViewAudio, ViewVideo
from stream.audio import AudioChunk
from stream.buffer import BufferClosed
from stream.coded_media import CodedUnit
from stream.errors import CodecError
from stream.frame import Frame
from stream.timing import Track
from stream.viewing_peer import ViewingPeer

QUEUED_FRAMES = 6
"""0.25 s at 25 fps: viewers are live, and miss pictures rather than fall behind."""

PUBLISHER_KEYFRAME_MS = 10_000.0
"""Keyframes are dear on a thin link: those who join within this time share one."""

CLOSE_S = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewCounts:
    """What one view did so far.

    viewers: now. frames_encoded, bytes_encoded: once, however many viewed. frames_dropped: since
    compressing was behind. frames_unsent: pictures and sound that slow viewers did not get.
    frames_passed: as the publisher compressed them, likewise once for all viewers.
    """

    viewers: int = 0
    frames_encoded: int = 0
    keyframes_encoded: int = 0
    bytes_encoded: int = 0
    frames_dropped: int = 0
    frames_unsent: int = 0
    frames_passed: int = 0


class View:
    """`put` may be called from any thread; everything else belongs to the event loop.

    Data flow: put -> SinkQueue -> one thread [ViewVideo, ViewAudio] -> event loop -> each viewer's
    CodedQueue -> RTP; and pass_on -> CodedQueue -> RTP.

    A viewer begins with what is compressed here, so that it sees a picture at once and costs the
    publisher's link nothing. Where pictures are passed on too and it takes their codec, it changes
    over at the publisher's next keyframe. For a newcomer, one is asked for, seldom; who needed help
    after that waits for one that comes by itself.
    """

    def __init__(self, name: str, quality: LiveQuality, loop: asyncio.AbstractEventLoop) -> None:
        self._name, self._quality, self._loop = name, quality, loop
        self._peers: dict[ViewingPeer, None] = {}  # in order, and quick to leave
        self._passed: set[ViewingPeer] = set()  # those that get the publisher's own pictures
        self._newcomers: set[ViewingPeer] = set()  # never were among them so far
        self._encodes = False  # whether anybody needs pictures that are compressed here
        self._last_pts: dict[ViewingPeer, int] = {}
        self._frames_passed, self._asked_ms = 0, -float("inf")
        self._queue: SinkQueue | None = None
        self._thread: threading.Thread | None = None
        self._gate = KeyframeGate()
        self._lock = threading.Lock()  # guards the gate and the sums below
        self._frames_encoded = self._keyframes_encoded = self._bytes_encoded = 0
        self._dropped_before = self._unsent_before = 0

    def put(self, item: Frame | AudioChunk) -> None:
        """Take what may be shown; never blocks, and does nothing while nobody views."""
        if (queue := self._queue) is not None and (self._encodes or isinstance(item, AudioChunk)):
            queue.put(item)

    def pass_on(self, picture: PassedPicture) -> bool:
        """Send a publisher's own picture to those who take it.

        Returns whether the publisher should be asked for a keyframe.
        """
        self._frames_passed += bool(self._passed)
        for peer in self._peers:
            takes = peer.takes(picture.codec, h264_profile_idc=picture.h264_profile_idc)
            if peer in self._passed and not takes:
                self._compress_for(peer)
            elif peer not in self._passed and takes and picture.is_keyframe:
                peer.skip_to_keyframe()
                self._passed.add(peer)
                self._newcomers.discard(peer)
            if peer in self._passed:
                for unit in picture.units:
                    self._send(peer, unit)
        self._note_who_needs_compression()
        return self._is_keyframe_due(picture)

    def add(self, peer: ViewingPeer) -> None:
        """Send to this viewer from now on."""
        self._peers[peer] = None
        self._newcomers.add(peer)
        self._note_who_needs_compression()
        if self._queue is None:
            queue = self._queue = SinkQueue(capacity=QUEUED_FRAMES)
            self._thread = threading.Thread(
                target=self._run, args=(queue,), name=f"view {self._name}", daemon=True
            )
            self._thread.start()
        self.want_keyframe(peer)

    def remove(self, peer: ViewingPeer) -> None:
        """The viewer has left; compressing ends with the last one."""
        if peer not in self._peers:
            return
        del self._peers[peer]
        self._passed.discard(peer)
        self._newcomers.discard(peer)
        self._last_pts.pop(peer, None)
        self._note_who_needs_compression()
        self._unsent_before += peer.frames_dropped
        with self._lock:
            self._gate.forget(peer)
        if not self._peers:
            self._stop()

    @property
    def has_viewers(self) -> bool:
        """Whether anybody would see a picture."""
        return bool(self._peers)

    def want_keyframe(self, peer: ViewingPeer) -> None:
        """This viewer cannot go on without a keyframe."""
        if peer in self._passed:
            self._compress_for(peer)
        elif peer in self._peers:
            with self._lock:
                self._gate.request(peer, now_ms=_now_ms())

    def counts(self) -> ViewCounts:
        """A snapshot; on the event loop."""
        queue = self._queue
        with self._lock:
            return ViewCounts(
                viewers=len(self._peers),
                frames_encoded=self._frames_encoded,
                keyframes_encoded=self._keyframes_encoded,
                bytes_encoded=self._bytes_encoded,
                frames_dropped=self._dropped_before + (queue.frames_dropped if queue else 0),
                frames_unsent=self._unsent_before
                + sum(peer.frames_dropped for peer in self._peers),
                frames_passed=self._frames_passed,
            )

    async def close(self) -> None:
        """Let go of all viewers and end the thread."""
        for peer in list(self._peers):
            self.remove(peer)
        if (thread := self._thread) is not None:
            await asyncio.to_thread(thread.join, CLOSE_S)

    def _stop(self) -> None:
        queue, self._queue = self._queue, None
        if queue is not None:
            self._dropped_before += queue.frames_dropped
            queue.clear()
            queue.close()

    def _run(self, queue: SinkQueue) -> None:
        video, audio = ViewVideo(self._quality), ViewAudio()
        has_failed = False
        while True:
            try:
                item = queue.get()
            except BufferClosed:
                return
            try:
                units = self._encode(item, video, audio)
            except CodecError as error:
                if not has_failed:
                    _log.warning("view %s: a picture was not sent: %s", self._name, error)
                has_failed = True
                continue
            except Exception:  # a defect must be seen, and must not leave the viewers waiting
                _log.exception("view %s: compressing failed", self._name)
                continue
            with contextlib.suppress(RuntimeError):  # the event loop may have ended meanwhile
                self._loop.call_soon_threadsafe(self._deliver, units)

    def _encode(
        self, item: Frame | AudioChunk, video: ViewVideo, audio: ViewAudio
    ) -> list[CodedUnit]:
        if isinstance(item, AudioChunk):
            return audio.encode(item)
        with self._lock:
            force_keyframe = self._gate.take(now_ms=_now_ms())
        unit = video.encode(item, force_keyframe=force_keyframe)
        if unit is None:
            return []
        with self._lock:
            self._frames_encoded += 1
            self._keyframes_encoded += unit.is_keyframe
            self._bytes_encoded += unit.size_bytes
        return [unit]

    def _deliver(self, units: list[CodedUnit]) -> None:
        for unit in units:
            for peer in self._peers:
                if unit.track is Track.AUDIO or peer not in self._passed:
                    self._send(peer, unit)

    def _send(self, peer: ViewingPeer, unit: CodedUnit) -> None:
        if unit.track is Track.VIDEO:
            if unit.pts <= self._last_pts.get(peer, unit.pts - 1):
                return  # it changed over from pictures that had come sooner
            self._last_pts[peer] = unit.pts
        peer.put(unit)

    def _compress_for(self, peer: ViewingPeer) -> None:
        """The publisher's pictures are of no use to this viewer, at least for now."""
        self._passed.discard(peer)
        peer.skip_to_keyframe()
        self._note_who_needs_compression()
        self.want_keyframe(peer)

    def _note_who_needs_compression(self) -> None:
        self._encodes = len(self._passed) < len(self._peers)

    def _is_keyframe_due(self, picture: PassedPicture) -> bool:
        now_ms = _now_ms()
        if picture.is_keyframe or now_ms - self._asked_ms < PUBLISHER_KEYFRAME_MS:
            return False
        profile_idc = picture.h264_profile_idc
        if not any(
            peer.takes(picture.codec, h264_profile_idc=profile_idc) for peer in self._newcomers
        ):
            return False
        self._asked_ms = now_ms
        return True


def _now_ms() -> float:
    return 1000 * time.monotonic()
