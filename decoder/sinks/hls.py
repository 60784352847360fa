"""HLS (RFC 8216) in a directory for a web server: a rolling playlist and its segments."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from decoder.hls_playlist import HlsPlaylist
from decoder.hls_shelf import HlsShelf
from decoder.sink import HlsTarget, LiveHlsTarget, public_name
from decoder.sinks.hls_sink import HlsSink
from decoder.video_codec import OutputCodec
from stream.errors import SinkError
from stream.frame import Size

PLAYLIST = "index.m3u8"

_OURS = ("segment_*.m4s*", "header_*.mp4*", "segment_*.ts*", f"{PLAYLIST}*")
"""What a run leaves in its directory, also one of an older version, or one that was killed."""


def open_hls_sink(
    target: HlsTarget,
    *,
    size: Size,
    frame_rate: float,
    with_audio: bool,
    codec: OutputCodec = "auto",
) -> HlsSink:
    """Write to `target.directory`, which is made when its parent exists.

    The directory belongs to one sink: segments and playlist of an earlier run are deleted.
    Raises SinkError when that fails.
    """
    directory = target.directory.absolute()
    try:
        directory.mkdir(exist_ok=True)
        for pattern in _OURS:
            for stale in directory.glob(pattern):
                stale.unlink(missing_ok=True)
    except OSError as error:
        raise SinkError(f"{public_name(target)} cannot be used: {error.strerror}") from error
    return HlsSink(
        SegmentFolder(directory),
        name=public_name(target),
        size=size,
        frame_rate=frame_rate,
        with_audio=with_audio,
        codec=codec,
        has_parts=False,
    )


def open_live_hls_sink(
    target: LiveHlsTarget,
    shelf: HlsShelf,
    *,
    size: Size,
    frame_rate: float,
    with_audio: bool,
    codec: OutputCodec = "auto",
) -> HlsSink:
    """Low-latency HLS into memory, which `decoder.hls_service` serves."""
    return HlsSink(
        shelf.open(target.stream),
        name=public_name(target),
        size=size,
        frame_rate=frame_rate,
        with_audio=with_audio,
        codec=codec,
        has_parts=True,
    )


class SegmentFolder:
    """A `decoder.sinks.hls_sink.HlsStore` of files that appear whole or not at all."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._names: list[str] = []
        self._has_failed = False

    def put(self, name: str, data: bytes) -> None:
        """Write a file. After one that failed nothing is written, so the playlist stays true."""
        if self._has_failed:
            return
        try:
            self._write(name, data)
        except OSError:
            self._has_failed = True
            raise
        self._names.append(name)

    def drop(self, name: str) -> None:
        """Delete a file."""
        (self._directory / name).unlink(missing_ok=True)
        with contextlib.suppress(ValueError):
            self._names.remove(name)

    def publish(self, playlist: HlsPlaylist) -> None:
        """Write the playlist; the one that ends it also on a full disk, by room from old files."""
        if self._has_failed and not playlist.has_ended:
            return
        text = playlist.text()
        while True:
            try:
                self._write(PLAYLIST, text.encode())
                return
            except OSError:
                unlisted = [name for name in self._names if name not in text]
                if not (self._has_failed and unlisted):
                    self._has_failed = True
                    raise
                self.drop(unlisted[0])

    def _write(self, name: str, data: bytes) -> None:
        temporary = self._directory / f"{name}.tmp"
        try:
            temporary.write_bytes(data)
            os.replace(temporary, self._directory / name)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
