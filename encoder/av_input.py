"""Opening a source with FFmpeg's demuxers: options, timeouts, and errors a user can act on."""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never
from urllib.parse import parse_qs, urlsplit

import av
from av.container import InputContainer

from encoder.source_url import PULLED_SCHEMES, SourceAddress, SourceKind
from encoder.srt_input import SrtInput
from stream.errors import ConfigError

OPEN_TIMEOUT_S = 10.0
"""Longest wait for an answer, and again for the first packets."""

LISTEN_TIMEOUT_S = 60.0
"""Longest wait for somebody to connect to us (SRT in listener mode)."""

SILENCE_TIMEOUT_S = 10.0
"""A live source that sends nothing for this long is gone."""

PULL_SILENCE_TIMEOUT_S = 30.0
"""The same for HTTP: an HLS playlist may only grow every 10 s or so (RFC 8216 section 6.2.2)."""

STDIN_POLL_S = 0.2
"""How often waiting for standard input looks whether the source was closed."""

NOT_VIDEO = frozenset(("tty",))
"""Demuxers that FFmpeg has and nobody wants here: any text file would become ANSI art."""

_NETWORK_TIMEOUT_US = str(int(SILENCE_TIMEOUT_S * 1e6))

# Enough to find both tracks of a live stream; FFmpeg's default of 5 s would be added to the start.
# `fflags=nobuffer` is not used: it throws the packets of the analysis away, keyframe included.
_LIVE_ANALYSIS = {"analyzeduration": "1000000", "probesize": "2000000"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """The arguments of one `av.open`."""

    file: str | StandardInput | SrtInput
    format: str | None = None
    options: dict[str, str]
    open_timeout_s: float | None = None
    read_timeout_s: float | None = None


class StandardInput:
    """Standard input as a file that PyAV reads and that stops at once when the source is closed."""

    name = "standard input"

    def __init__(self, is_closed: Callable[[], bool]) -> None:
        self._is_closed = is_closed
        self._descriptor = sys.stdin.fileno()

    def read(self, size: int) -> bytes:
        """Up to `size` bytes as they come; b"" at the end or once the source is closed."""
        while not self._is_closed():
            if select.select([self._descriptor], [], [], STDIN_POLL_S)[0]:
                return os.read(self._descriptor, size)
        return b""


@dataclass(frozen=True, slots=True)
class OpenInput:
    """A demuxer, and what carries bytes to it where FFmpeg does not do that itself."""

    container: InputContainer
    srt: SrtInput | None = None

    def close(self) -> None:
        """Close both; not while another thread reads."""
        self.container.close()
        if self.srt is not None:
            self.srt.close()


def open_input(address: SourceAddress, *, is_closed: Callable[[], bool]) -> OpenInput:
    """Open a source that FFmpeg reads; `is_closed` lets waits in our own code end early.

    Raises ConfigError, one line, when it is missing, refused or not media.
    """
    name = describe(address)
    request = _request(address, is_closed)
    srt = request.file if isinstance(request.file, SrtInput) else None
    try:
        container = av.open(
            request.file,
            mode="r",
            format=request.format,
            options=request.options,
            timeout=(request.open_timeout_s, request.read_timeout_s),
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = explain(error)
        if srt is not None:
            reason = srt.reason()
            srt.close()
        raise ConfigError(f"cannot open {name}: {reason}") from error
    opened = OpenInput(container, srt)
    if container.format.name in NOT_VIDEO:
        opened.close()
        raise ConfigError(f"cannot open {name}: it is text, not a media file")
    return opened


def describe(address: SourceAddress) -> str:
    """The source in words, for messages."""
    match address.kind:
        case SourceKind.FILE:
            return address.target
        case SourceKind.NETWORK:  # without user, password and query, which may hold secrets
            parts = urlsplit(address.target)
            return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        case SourceKind.SCREEN:
            return f"screen {address.target or os.environ.get('DISPLAY', '')}".rstrip()
        case SourceKind.CAMERA:
            return f"camera {address.target}"
        case SourceKind.STDIN | SourceKind.TEST:
            return str(address.kind.value)
        case _:
            assert_never(address.kind)


def explain(error: Exception) -> str:
    """Why FFmpeg refused, in one line that a user can act on."""
    match error:
        case av.error.ExitError():  # PyAV's timeout interrupted FFmpeg
            return "no answer in time"
        case av.InvalidDataError():
            return "it is damaged, or not a media file that FFmpeg knows"
        case av.HTTPError():
            return f"the server says: {error.strerror}"
        case av.FFmpegError(strerror=str() as reason):
            return reason
        case OSError(strerror=str() as reason):
            return reason
        case _:
            return str(error)


def _request(address: SourceAddress, is_closed: Callable[[], bool]) -> _Request:
    match address.kind:
        case SourceKind.FILE:
            return _Request(file=f"file:{_checked_file(address.target)}", options={})
        case SourceKind.STDIN:
            return _standard_input(is_closed)
        case SourceKind.NETWORK:
            return _network(address.target, is_closed)
        case SourceKind.CAMERA:
            if not Path(address.target).exists():
                raise ConfigError(f"there is no camera at {address.target}")
            return _device(address, "v4l2", address.target, {})
        case SourceKind.SCREEN:
            return _screen(address)
        case SourceKind.TEST:
            raise AssertionError("the test scene is rendered, not opened")
        case _:
            assert_never(address.kind)


def _checked_file(path: str) -> str:
    if not os.path.exists(path):
        raise ConfigError(f"there is no file {path}")
    if os.path.isdir(path):
        raise ConfigError(f"{path} is a folder, not a media file")
    if os.path.isfile(path) and not os.path.getsize(path):
        raise ConfigError(f"{path} is empty")
    return path


def _standard_input(is_closed: Callable[[], bool]) -> _Request:
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError("standard input is closed; nothing can be read from '-'") from error
    if stat.S_ISREG(mode):  # `< clip.mp4`: can be sought in, unlike a pipe
        return _Request(file="file:/dev/stdin", options={})
    if os.isatty(sys.stdin.fileno()):
        raise ConfigError("standard input is a terminal; pipe a media stream into '-'")
    return _Request(file=StandardInput(is_closed), options=_LIVE_ANALYSIS)


def _network(url: str, is_closed: Callable[[], bool]) -> _Request:
    parts = urlsplit(url)
    listens = "listener" in parse_qs(parts.query).get("mode", [])
    open_timeout_s = LISTEN_TIMEOUT_S if listens else OPEN_TIMEOUT_S
    options: dict[str, str] = {}
    read_timeout_s = SILENCE_TIMEOUT_S
    match parts.scheme.lower():
        case scheme if scheme in PULLED_SCHEMES:
            options = {"reconnect": "1", "reconnect_delay_max": "4"}
            read_timeout_s = PULL_SILENCE_TIMEOUT_S
        case "rtsp" | "rtsps":  # TCP: no lost packets on the way in, and it passes firewalls
            options = _LIVE_ANALYSIS | {"rtsp_transport": "tcp", "timeout": _NETWORK_TIMEOUT_US}
        case "srt":
            srt = SrtInput(
                url,
                is_closed=is_closed,
                connect_timeout_s=open_timeout_s,
                silence_timeout_s=SILENCE_TIMEOUT_S,
            )
            return _Request(file=srt, options=_LIVE_ANALYSIS)
        case "udp" | "rtp":
            options = _LIVE_ANALYSIS | {"timeout": _NETWORK_TIMEOUT_US, "overrun_nonfatal": "1"}
        case _:  # not `timeout`: for RTMP and TCP that would mean to listen
            options = _LIVE_ANALYSIS | {"rw_timeout": _NETWORK_TIMEOUT_US}
    return _Request(
        file=url,
        options=options,
        open_timeout_s=open_timeout_s,
        read_timeout_s=read_timeout_s,
    )


def _screen(address: SourceAddress) -> _Request:
    display = address.target or os.environ.get("DISPLAY", "")
    if not display:
        raise ConfigError("there is no screen: set DISPLAY or name one, as in x11::0.0")
    left, top = address.at or (0, 0)
    # `grab_x`/`grab_y` and `video_size` select the region; the whole screen without them.
    return _device(address, "x11grab", display, {"grab_x": str(left), "grab_y": str(top)})


def _device(address: SourceAddress, demuxer: str, target: str, options: dict[str, str]) -> _Request:
    if address.size is not None:
        options = options | {"video_size": str(address.size)}
    if address.fps is not None:
        options = options | {"framerate": f"{address.fps:g}"}
    return _Request(
        file=target,
        format=demuxer,
        options=options,
        open_timeout_s=OPEN_TIMEOUT_S,
        read_timeout_s=SILENCE_TIMEOUT_S,
    )
