"""How the user names an output (`--output TARGET`)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, assert_never
from urllib.parse import urlsplit

from stream.errors import ConfigError
from stream.sdp_exchange import check_url
from stream.srt_gateway import find_gateway

KINDS = (
    "FILE.mp4, FILE.mkv, FILE.y4m, rtmp://…, srt://…, whip+https://…, hls:DIR, llhls:NAME, "
    "y4m:PATH, y4m:-, raw:PATH, raw:-, camera:, camera:DEVICE or null:"
)
"""Every form of a target, for messages and help."""


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
class LiveHlsTarget:
    """Low-latency HLS, served by this very process under a name."""

    stream: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WhipTarget:
    """A WHIP endpoint (without `whip+`): another server or SFU, which hands it on to many."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RawTarget:
    """Uncompressed frames; path None is standard output. With headers it is YUV4MPEG2, without
    the bare planes of one frame after another.
    """

    path: Path | None
    has_headers: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraTarget:
    """A virtual camera that other programs open; device None takes the first that is free."""

    device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NullTarget:
    """Nowhere: for measuring."""


Target = (
    FileTarget
    | PushTarget
    | WhipTarget
    | HlsTarget
    | LiveHlsTarget
    | RawTarget
    | CameraTarget
    | NullTarget
)

_STREAM = re.compile(r"[A-Za-z0-9_-]{1,64}|\{stream\}")


def parse_target(text: str) -> Target:
    """Read an `--output` value; touches nothing. Raises ConfigError that lists the kinds."""
    scheme, separator, rest = text.partition(":")
    match scheme.lower():
        case "null" if separator and not rest:
            return NullTarget()
        case "y4m" | "raw" if rest:
            path = None if rest == "-" else Path(rest)
            return RawTarget(path=path, has_headers=scheme.lower() == "y4m")
        case "hls" if rest:
            return HlsTarget(directory=Path(rest))
        case "llhls" if _STREAM.fullmatch(rest):
            return LiveHlsTarget(stream=rest)
        case "camera" if separator:
            return CameraTarget(device=rest or None)
        case "whip+http" | "whip+https" if _is_http(text.removeprefix("whip+")):
            return WhipTarget(url=text.removeprefix("whip+"))
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
        case RawTarget(path=Path() as path, has_headers=has_headers) if life > 1:
            kind = "y4m" if has_headers else "raw"
            return f"{kind}:{path.with_stem(f'{path.stem}-{life}')}"
        case _:
            return text


def public_name(target: Target) -> str:
    """A target as it may be logged: of URLs only scheme, host and port, since the rest holds
    stream keys, passphrases and passwords.
    """
    match target:
        case FileTarget(path=path):
            return str(path)
        case RawTarget(path=raw_path, has_headers=has_headers):
            kind = "y4m" if has_headers else "raw"
            return f"{kind}:{'-' if raw_path is None else raw_path}"
        case LiveHlsTarget(stream=stream):
            return f"llhls:{stream}"
        case CameraTarget(device=device):
            return f"camera:{device or ''}"
        case HlsTarget(directory=directory):
            return f"hls:{directory}"
        case PushTarget(url=url) | WhipTarget(url=url):
            parts = urlsplit(url)
            port = "" if parts.port is None else f":{parts.port}"
            prefix = "whip+" if isinstance(target, WhipTarget) else ""
            return f"{prefix}{parts.scheme}://{parts.hostname}{port}"
        case NullTarget():
            return "null:"
        case _:
            assert_never(target)


def check_target(target: Target) -> None:
    """Find out before anything is received whether `target` can be opened at all.

    Raises ConfigError for a missing or read-only directory, or something to install. Whether a
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
        case CameraTarget():
            from decoder.sinks.camera import check_camera

            check_camera()
        case PushTarget() | WhipTarget() | LiveHlsTarget() | NullTarget():
            pass
        case _:
            assert_never(target)


def _is_http(url: str) -> bool:
    try:
        check_url(url)
    except ConfigError:
        return False
    return True


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
