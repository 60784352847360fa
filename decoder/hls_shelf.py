"""HLS files in memory: written by a sink's thread, read by HTTP requests that may wait for them."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from decoder.hls_playlist import HlsPlaylist


class StreamShelf:
    """The files of one low-latency stream; a `decoder.sinks.hls_sink.HlsStore`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """loop: where requests wait."""
        self._loop = loop
        self._lock = threading.Lock()
        self._files: dict[str, bytes] = {}
        self._text = ""
        self._next: tuple[int, int] = (0, 0)
        self._has_ended = self._can_start = False
        self._target_s = 1
        self._changed = asyncio.Event()

    def put(self, name: str, data: bytes) -> None:
        """See `HlsStore.put`."""
        with self._lock:
            self._files[name] = data
        self._wake()

    def drop(self, name: str) -> None:
        """See `HlsStore.drop`."""
        with self._lock:
            self._files.pop(name, None)

    def publish(self, playlist: HlsPlaylist) -> None:
        """See `HlsStore.publish`."""
        text = playlist.text()
        with self._lock:
            self._text, self._next = text, playlist.next_position
            self._can_start = playlist.can_start
            self._has_ended, self._target_s = playlist.has_ended, playlist.target_s
        self._wake()

    @property
    def text(self) -> str:
        """The playlist; empty before there is one."""
        with self._lock:
            return self._text

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        with self._lock:
            return self._has_ended

    @property
    def can_start(self) -> bool:
        """Of the playlist: see `HlsPlaylist.can_start`."""
        with self._lock:
            return self._can_start

    @property
    def next_position(self) -> tuple[int, int]:
        """Of the playlist: see `HlsPlaylist.next_position`."""
        with self._lock:
            return self._next

    @property
    def target_s(self) -> int:
        """Of the playlist."""
        with self._lock:
            return self._target_s

    def file(self, name: str) -> bytes | None:
        """A file; None when it is not there, any more or yet."""
        with self._lock:
            return self._files.get(name)

    async def next_change(self) -> None:
        """Wait until something changes; from the loop alone."""
        await self._changed.wait()

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may have ended meanwhile
            self._loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class HlsShelf:
    """The low-latency streams of one receiver by name; any thread may open one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._streams: dict[str, StreamShelf] = {}

    def open(self, stream: str) -> StreamShelf:
        """An empty shelf for a stream that starts; the files of an earlier one are gone."""
        shelf = self._streams[stream] = StreamShelf(self._loop)
        return shelf

    def get(self, stream: str) -> StreamShelf | None:
        """The shelf of a stream; None when there is none."""
        return self._streams.get(stream)
