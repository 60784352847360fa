"""Sources of video: files, URLs, cameras, screens, standard input and the test scene."""

from __future__ import annotations

import threading
from collections import deque

from encoder.av_input import describe
from encoder.media_reader import MediaReader
from encoder.read_ahead import ReadAhead, ReadAheadTimeout
from encoder.scene_source import SceneSource
from encoder.source import Source, SourceConfig, SourceInfo
from encoder.source_url import SourceAddress, SourceKind, parse_source
from stream.audio import AudioChunk
from stream.errors import ConfigError
from stream.frame import Frame

__all__ = ["MediaSource", "Source", "SourceConfig", "SourceInfo", "open_source"]

FIRST_FRAME_TIMEOUT_S = 20.0
"""A live stream may have to be watched until its next keyframe before it shows anything."""

CLOSE_WAIT_S = 1.0
"""How long `close` waits for FFmpeg to let go; it then ends by its own timeout."""


def open_source(config: SourceConfig) -> Source:
    """Open a source and look at its first frame.

    Raises ConfigError, one line, when it is missing, refused, damaged, without video that can be
    decoded, or no source at all. May take until FIRST_FRAME_TIMEOUT_S for a live stream.
    """
    address = parse_source(config.url)
    if address.kind is SourceKind.TEST:
        return SceneSource(address, config)
    if config.loop and (address.is_live or address.kind is SourceKind.STDIN):
        raise ConfigError(f"{describe(address)} cannot loop; only files can")
    return MediaSource(address, config)


class MediaSource:
    """A source read by FFmpeg in a thread of its own."""

    def __init__(self, address: SourceAddress, config: SourceConfig) -> None:
        self._closed = threading.Event()
        self._reader = MediaReader(
            address,
            with_audio=config.audio,
            loops=config.loop,
            fps=config.fps,
            is_closed=self._closed.is_set,
        )
        name = describe(address)
        self._items = ReadAhead(self._reader.items(), name=f"capture {name}")
        self._first: deque[Frame | AudioChunk] = deque()
        fps = self._reader.fps
        self._info = SourceInfo(
            name=name,
            size=self._wait_for_frame(name).size,
            fps=fps if config.fps is None else min(fps, config.fps),
            has_audio=self._reader.has_audio,
            is_live=address.is_live,
        )

    @property
    def info(self) -> SourceInfo:
        """What it is."""
        return self._info

    @property
    def corrupt_packets(self) -> int:
        """Packets skipped so far because they were damaged."""
        return self._reader.corrupt_packets

    def read(self) -> Frame | AudioChunk | None:
        """The next item; see `Source.read`."""
        if self._closed.is_set():
            return None
        return self._first.popleft() if self._first else self._items.next()

    def close(self) -> None:
        """Stop; see `Source.close`."""
        self._closed.set()
        self._items.close(CLOSE_WAIT_S)

    def _wait_for_frame(self, name: str) -> Frame:
        while True:
            try:
                item = self._items.next(FIRST_FRAME_TIMEOUT_S)
            except ReadAheadTimeout as error:
                self.close()
                message = f"{name} showed no picture within {FIRST_FRAME_TIMEOUT_S:g} s"
                raise ConfigError(message) from error
            if item is None:
                self.close()
                raise ConfigError(f"{name} has no picture that can be decoded")
            self._first.append(item)
            if isinstance(item, Frame):
                return item
