"""Sinks: where restored frames and sound go, and how the user names them (`--output TARGET`)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, assert_never
from urllib.parse import urlsplit

from stream.audio import AudioChunk
from stream.errors import ConfigError
from stream.frame import Frame, Size
from stream.srt_gateway import find_gateway

KINDS = "FILE.mp4, FILE.mkv, FILE.y4m, rtmp://…, srt://…, hls:DIR, y4m:PATH, y4m:- or null:"
"""Every form of a target, for messages and help."""


class Sink(Protocol):
    """One output; used by one thread, not thread-safe. Any method may block on its medium.

    Methods raise SinkError (local: it is over), PeerError (remote: a new sink may work) or
    CodecError (a frame of another size, a codec that fails). After an error only `close` may be
    called, and what was written up to it stays usable.
    """

    @property
    def name(self) -> str:
        """The target as it may be logged: see `public_name`."""

    @property
    def bytes_written(self) -> int:
        """Compressed (or raw) media bytes handed to the medium so far, containers not counted."""

    def write_video(self, frame: Frame) -> bool:
        """Add a frame of the sink's size; False when it came too late to be shown."""

    def write_audio(self, chunk: AudioChunk) -> None:
        """Add sound, in any interleaving with frames; ignored by sinks without a sound track."""

    def close(self) -> None:
        """Finalise; the second call does nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTarget:
    """A fragmented mp4 or a Matroska file."""

    path: Path
    container: Literal["mp4", "mkv"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PushTarget:
    """A server that takes a live stream."""

    url: str
    protocol: Literal["rtmp", "srt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HlsTarget:
    """A directory that a web server offers: index.m3u8 and its segments."""

    directory: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RawTarget:
    """Raw YUV4MPEG2 frames; path None is standard output."""

    path: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NullTarget:
    """Nowhere: for measuring."""


Target = FileTarget | PushTarget | HlsTarget | RawTarget | NullTarget


def parse_target(text: str) -> Target:
    """Read an `--output` value; touches nothing. Raises ConfigError that lists the kinds."""
    scheme, separator, rest = text.partition(":")
    match scheme.lower():
        case "null" if separator and not rest:
            return NullTarget()
        case "y4m" if rest:
            return RawTarget(path=None if rest == "-" else Path(rest))
        case "hls" if rest:
            return HlsTarget(directory=Path(rest))
        case "rtmp" | "rtmps" if _has_host(text):
            return PushTarget(url=text, protocol="rtmp")
        case "srt" if _has_host(text):
            return PushTarget(url=text, protocol="srt")
    if "://" not in text and "\0" not in text:
        match Path(text).suffix.lower():
            case ".mp4":
                return FileTarget(path=Path(text), container="mp4")
            case ".mkv":
                return FileTarget(path=Path(text), container="mkv")
            case ".y4m":
                return RawTarget(path=Path(text))
    raise ConfigError(f"unknown output {text!r}: use {KINDS}")


def numbered(text: str, *, life: int) -> str:
    """The output of a stream that began anew for the `life`-th time: a file of its own.

    `restored.mp4` becomes `restored-2.mp4`; what is not a file can take the same stream again.
    """
    match parse_target(text):
        case FileTarget(path=path) if life > 1:
            return str(path.with_stem(f"{path.stem}-{life}"))
        case RawTarget(path=Path() as path) if life > 1:
            return f"y4m:{path.with_stem(f'{path.stem}-{life}')}"
        case _:
            return text


def public_name(target: Target) -> str:
    """A target as it may be logged: of URLs only scheme, host and port, since the rest holds
    stream keys, passphrases and passwords.
    """
    match target:
        case FileTarget(path=path):
            return str(path)
        case RawTarget(path=raw_path):
            return f"y4m:{'-' if raw_path is None else raw_path}"
        case HlsTarget(directory=directory):
            return f"hls:{directory}"
        case PushTarget(url=url):
            parts = urlsplit(url)
            port = "" if parts.port is None else f":{parts.port}"
            return f"{parts.scheme}://{parts.hostname}{port}"
        case NullTarget():
            return "null:"
        case _:
            assert_never(target)


def check_target(target: Target) -> None:
    """Find out before anything is received whether `target` can be opened at all.

    Raises ConfigError for a missing or read-only directory, or a missing SRT gateway. Whether a
    server answers is not checked: push sinks go on trying.
    """
    match target:
        case FileTarget(path=path):
            _check_file(path)
        case RawTarget(path=raw_path):
            if raw_path is not None:
                _check_file(raw_path)
        case HlsTarget(directory=directory):
            _check_directory(directory if directory.exists() else directory.parent)
        case PushTarget(protocol="srt"):
            find_gateway()
        case PushTarget() | NullTarget():
            pass
        case _:
            assert_never(target)


def open_sink(target: str, *, size: Size, frame_rate: float, with_audio: bool) -> Sink:
    """Open `target` for frames of `size`, at about `frame_rate` frames a second.

    with_audio: whether sound may come; sinks that hold it wait up to 1 s of video for it before
    they write their header. Raises ConfigError, and SinkError when opening fails after all checks.
    Push sinks connect with their first data, so their PeerError comes from there.
    """
    parsed = parse_target(target)
    check_target(parsed)
    match parsed:
        case FileTarget():
            from decoder.sinks.container import open_container_sink

            return open_container_sink(
                parsed, size=size, frame_rate=frame_rate, with_audio=with_audio
            )
        case PushTarget():
            from decoder.sinks.push import open_push_sink

            return open_push_sink(parsed, size=size, frame_rate=frame_rate, with_audio=with_audio)
        case HlsTarget():
            from decoder.sinks.hls import open_hls_sink

            return open_hls_sink(parsed, size=size, frame_rate=frame_rate, with_audio=with_audio)
        case RawTarget():
            from decoder.sinks.y4m import Y4mSink

            return Y4mSink(parsed, size=size, frame_rate=frame_rate)
        case NullTarget():
            from decoder.sinks.null import NullSink

            return NullSink(size=size)
        case _:
            assert_never(parsed)


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, or unbalanced [ ]
        return False


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise ConfigError(f"{path} is a directory, not a file")
    if path.exists():
        if not os.access(path, os.W_OK):
            raise ConfigError(f"{path} cannot be written: permission denied")
        return
    _check_directory(path.parent)


def _check_directory(directory: Path) -> None:
    if not directory.is_dir():
        raise ConfigError(f"{directory} is not a directory: create it first")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ConfigError(f"{directory} cannot be written: permission denied")
