"""One picture of one stream, compressed once for all who view it, and not at all for nobody."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

from decoder.live_h264 import LiveQuality
from decoder.viewing.compression import ALWAYS, Compression, CompressionCounts
from decoder.viewing.passing import PassedPicture
from stream.audio import AudioChunk
from stream.coded_media import CodedUnit
from stream.frame import Frame
from stream.timing import Track
from stream.viewing_peer import ViewingPeer

PUBLISHER_KEYFRAME_MS = 10_000.0
"""Keyframes are dear on a thin link: those who join within this time share one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewCounts:
    """What one view did so far.

    viewers: now. frames_encoded, bytes_encoded: once in each codec, however many viewed.
    frames_dropped: since compressing was behind. frames_unsent: pictures and sound that slow
    viewers did not get. frames_passed: as the publisher compressed them, likewise once for all.
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

    Data flow: put -> Compression (a thread) -> event loop -> each viewer's CodedQueue -> RTP;
    and pass_on -> CodedQueue -> RTP.

    A viewer begins with what is compressed here, so that it sees a picture at once and costs the
    publisher's link nothing. Where pictures are passed on too and it takes their codec, it changes
    over at the publisher's next keyframe. For a newcomer, one is asked for, seldom; who needed help
    after that waits for one that comes by itself.
    """

    def __init__(
        self,
        name: str,
        quality: LiveQuality,
        loop: asyncio.AbstractEventLoop,
        *,
        codecs: tuple[str, ...] = (ALWAYS,),
    ) -> None:
        """codecs: what to compress with, best first; each viewer gets the first that it takes."""
        self._name, self._quality, self._loop, self._codecs = name, quality, loop, codecs
        self._peers: dict[ViewingPeer, str] = {}  # in order; the codec of what is compressed for it
        self._passed: set[ViewingPeer] = set()  # those that get the publisher's own pictures
        self._newcomers: set[ViewingPeer] = set()  # never were among them so far
        self._last_pts: dict[ViewingPeer, int] = {}
        self._frames_passed, self._asked_ms = 0, -float("inf")
        self._compression: Compression | None = None
        self._ended: list[Compression] = []
        self._before = CompressionCounts()
        self._given_up: frozenset[str] = frozenset()
        self._unsent_before = 0

    def put(self, item: Frame | AudioChunk) -> None:
        """Take what may be shown; never blocks, and does nothing while nobody views."""
        if (compression := self._compression) is not None:
            compression.put(item)

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
        self._peers[peer] = self._codec_for(peer)
        self._newcomers.add(peer)
        if self._compression is None:
            self._compression = Compression(
                self._name, self._quality, deliver=self._deliver_on_loop
            )
        self._note_who_needs_compression()
        self.want_keyframe(peer)

    def remove(self, peer: ViewingPeer) -> None:
        """The viewer has left; compressing ends with the last one."""
        if peer not in self._peers:
            return
        del self._peers[peer]
        self._passed.discard(peer)
        self._newcomers.discard(peer)
        self._last_pts.pop(peer, None)
        self._unsent_before += peer.frames_dropped
        if self._compression is not None:
            self._compression.forget(peer)
        self._note_who_needs_compression()
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
        elif peer in self._peers and self._compression is not None:
            self._compression.request_keyframe(peer, self._peers[peer])

    def counts(self) -> ViewCounts:
        """A snapshot; on the event loop."""
        now = self._compression.counts() if self._compression else CompressionCounts()
        return ViewCounts(
            viewers=len(self._peers),
            frames_encoded=self._before.frames_encoded + now.frames_encoded,
            keyframes_encoded=self._before.keyframes_encoded + now.keyframes_encoded,
            bytes_encoded=self._before.bytes_encoded + now.bytes_encoded,
            frames_dropped=self._before.frames_dropped + now.frames_dropped,
            frames_unsent=self._unsent_before + sum(peer.frames_dropped for peer in self._peers),
            frames_passed=self._frames_passed,
        )

    async def close(self) -> None:
        """Let go of all viewers and end the thread."""
        for peer in list(self._peers):
            self.remove(peer)
        for ended in self._ended:
            await asyncio.to_thread(ended.join)

    def _stop(self) -> None:
        compression, self._compression = self._compression, None
        if compression is None:
            return
        now, before = compression.counts(), self._before
        compression.close()
        self._before = CompressionCounts(
            frames_encoded=before.frames_encoded + now.frames_encoded,
            keyframes_encoded=before.keyframes_encoded + now.keyframes_encoded,
            bytes_encoded=before.bytes_encoded + now.bytes_encoded,
            frames_dropped=before.frames_dropped + now.frames_dropped,
        )
        self._ended = [compression]  # an earlier one has long ended

    def _deliver_on_loop(self, units: list[CodedUnit]) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop may have ended meanwhile
            self._loop.call_soon_threadsafe(self._deliver, units)

    def _deliver(self, units: list[CodedUnit]) -> None:
        if self._compression is not None and self._compression.given_up > self._given_up:
            self._give_up(self._compression.given_up)
        for unit in units:
            for peer, codec in self._peers.items():
                if unit.track is Track.AUDIO or (codec == unit.codec and peer not in self._passed):
                    self._send(peer, unit)

    def _send(self, peer: ViewingPeer, unit: CodedUnit) -> None:
        if unit.track is Track.VIDEO:
            if unit.pts <= self._last_pts.get(peer, unit.pts - 1):
                return  # it changed over from pictures that had come sooner
            self._last_pts[peer] = unit.pts
        peer.put(unit)

    def _codec_for(self, peer: ViewingPeer) -> str:
        return next(
            (each for each in self._codecs if each not in self._given_up and peer.takes(each)),
            ALWAYS,
        )

    def _give_up(self, codecs: frozenset[str]) -> None:
        """Change over who was served in one of these codecs."""
        self._given_up = codecs
        for peer in [peer for peer, codec in self._peers.items() if codec in codecs]:
            self._peers[peer] = self._codec_for(peer)
            if peer not in self._passed:
                self._compress_for(peer)
        self._note_who_needs_compression()

    def _compress_for(self, peer: ViewingPeer) -> None:
        """What this viewer got last is of no use to it, at least for now."""
        self._passed.discard(peer)
        peer.skip_to_keyframe()
        self._note_who_needs_compression()
        self.want_keyframe(peer)

    def _note_who_needs_compression(self) -> None:
        if self._compression is not None:
            self._compression.need(
                frozenset(codec for peer, codec in self._peers.items() if peer not in self._passed)
            )

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
