"""What the user may name as a source, and what that name means. Pure: nothing is opened here.

PATH or file:PATH                            a media file
-                                            standard input
rtmp:// rtsp:// srt:// http(s):// udp:// …   a stream or file on the network (HLS: an .m3u8 URL)
v4l2:DEVICE[?size=WxH&fps=N]                 a camera
x11:[DISPLAY][?size=WxH&fps=N&at=X,Y]        a screen, or a region of it
test:[SECONDS][?size=WxH&fps=N]              the generated test scene, for ever without SECONDS
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import parse_qsl, urlsplit

from stream.errors import ConfigError
from stream.frame import Size

NETWORK_SCHEMES = frozenset(
    ("http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp")
)
"""URL schemes that FFmpeg opens by itself and that make sense as a live source."""

PULLED_SCHEMES = frozenset(("http", "https"))
"""Network schemes whose sender does not pace the stream: HLS segments arrive in bursts."""

MAX_SIDE = 8192
"""Largest width or height that may be asked of a device or the test scene, in samples."""

MAX_FPS = 240
"""Highest frame rate that may be asked of a device or the test scene."""

_FORMS = "a file, '-', a URL, v4l2:DEVICE, x11:[DISPLAY] or test:[SECONDS]"


class SourceKind(Enum):
    """Where a source lives."""

    FILE = "file"
    STDIN = "standard input"
    NETWORK = "URL"
    CAMERA = "camera"
    SCREEN = "screen"
    TEST = "test scene"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAddress:
    """A parsed source name.

    target: path, URL, device or display; empty for standard input, the test scene and the
    default display. size, fps, at (left and top of a screen region): as asked, else None.
    duration_s: length of the test scene, None for endless.
    """

    kind: SourceKind
    target: str
    size: Size | None = None
    fps: float | None = None
    at: tuple[int, int] | None = None
    duration_s: float | None = None

    @property
    def is_live(self) -> bool:
        """Whether frames arrive at the speed they were made, so that nobody has to pace them."""
        if self.kind is SourceKind.NETWORK:
            return self.target.partition(":")[0].lower() not in PULLED_SCHEMES
        return self.kind in (SourceKind.CAMERA, SourceKind.SCREEN)


def parse_source(text: str) -> SourceAddress:
    """Read a source name; raises ConfigError with one line when it is none."""
    if not text or "\0" in text:
        raise ConfigError(f"a source is {_FORMS}, not {text!r}")
    if text == "-":
        return SourceAddress(kind=SourceKind.STDIN, target="")
    scheme, colon, body = text.partition(":")
    match scheme if colon else "":
        case "test":
            return _test_scene(body)
        case "v4l2":
            device, options = _split_options(text, body, ("size", "fps"))
            return SourceAddress(
                kind=SourceKind.CAMERA,
                target=device or "/dev/video0",
                size=_size_of(options),
                fps=_fps_of(options),
            )
        case "x11":
            display, options = _split_options(text, body, ("size", "fps", "at"))
            return SourceAddress(
                kind=SourceKind.SCREEN,
                target=display,
                size=_size_of(options),
                fps=_fps_of(options),
                at=_position(options["at"]) if "at" in options else None,
            )
        case "file":
            path = body.removeprefix("//") if body.startswith("///") else body
            if not path:
                raise ConfigError(f"{text!r} names no file")
            return SourceAddress(kind=SourceKind.FILE, target=path)
    if body.startswith("//"):
        if scheme.lower() not in NETWORK_SCHEMES:
            known = ", ".join(sorted(NETWORK_SCHEMES))
            raise ConfigError(f"unknown scheme {scheme!r} in {text!r}; known are {known}")
        if not body.strip("/"):
            raise ConfigError(f"{text!r} names no host")
        try:
            urlsplit(text)
        except ValueError as error:
            raise ConfigError(f"{text!r} is no URL: {error}") from error
        return SourceAddress(kind=SourceKind.NETWORK, target=text)
    return SourceAddress(kind=SourceKind.FILE, target=text)


def _test_scene(body: str) -> SourceAddress:
    text = f"test:{body}"
    seconds, options = _split_options(text, body, ("size", "fps"))
    return SourceAddress(
        kind=SourceKind.TEST,
        target="",
        size=_size_of(options),
        fps=_fps_of(options),
        duration_s=_positive("SECONDS", seconds) if seconds else None,
    )


def _split_options(text: str, body: str, known: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    target, _, query = body.partition("?")
    options: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in known:
            raise ConfigError(f"unknown option {key!r} in {text!r}; known are {', '.join(known)}")
        if key in options:
            raise ConfigError(f"option {key!r} is given twice in {text!r}")
        options[key] = value
    return target, options


def _size_of(options: dict[str, str]) -> Size | None:
    return _size(options["size"]) if "size" in options else None


def _fps_of(options: dict[str, str]) -> float | None:
    if "fps" not in options:
        return None
    fps = _positive("fps", options["fps"])
    if fps > MAX_FPS:
        raise ConfigError(f"fps must be at most {MAX_FPS}, not {options['fps']}")
    return fps


def _size(text: str) -> Size:
    match = re.fullmatch(r"([0-9]{1,5})[xX]([0-9]{1,5})", text)
    if match is None:
        raise ConfigError(f"size must look like 1280x720, not {text!r}")
    width, height = int(match[1]), int(match[2])
    if width % 2 or height % 2 or not (2 <= width <= MAX_SIDE and 2 <= height <= MAX_SIDE):
        raise ConfigError(f"size must be even, from 2 to {MAX_SIDE}, not {text}")
    return Size(width=width, height=height)


def _position(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,5}),([0-9]{1,5})", text)
    if match is None:
        raise ConfigError(f"at must look like 100,50, not {text!r}")
    return int(match[1]), int(match[2])


def _positive(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{name} must be a positive number, not {text!r}")
    return value
