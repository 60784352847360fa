"""The words of signalling over HTTP: how a server is configured, and the messages it deals in.

Pure values: `stream.whip` holds the rules, `stream.http_server` the sockets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from stream.errors import ConfigError
from stream.sdp_text import one_line

_TOKEN = re.compile(r"[\x21-\x7e]+")


def check_token(token: str | None) -> None:
    """Raise ConfigError when `token` cannot travel in an Authorization header (RFC 6750)."""
    if token is not None and not _TOKEN.fullmatch(token):
        raise ConfigError("a token must be printable ASCII without spaces, and not empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """Where to listen, and who may publish.

    port: 0 lets the system choose one.
    token: Bearer token that every request must carry; None lets anybody publish.
    max_sessions: how many may publish at the same time; one more gets 503.
    cors_origin: value of Access-Control-Allow-Origin: `*` or one origin.
    replace_publisher: a new session takes over the name of a live one, instead of getting 409.
    request_timeout_s: how long a client may take to send its request head, and then its body.
    accept_timeout_s: how long answering an offer may take.

    Raises ConfigError for values that cannot work.
    """

    host: str
    port: int
    token: str | None = None
    max_sessions: int = 8
    cors_origin: str = "*"
    replace_publisher: bool = False
    request_timeout_s: float = 10.0
    accept_timeout_s: float = 20.0

    def __post_init__(self) -> None:
        check_token(self.token)
        if not self.host:
            raise ConfigError("the host to listen on is empty: give HOST:PORT")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port {self.port} is outside 0..65535")
        if self.max_sessions < 1:
            raise ConfigError(f"max_sessions must be at least 1, got {self.max_sessions}")
        if not _TOKEN.fullmatch(self.cors_origin):
            raise ConfigError(f"cors_origin must be * or one origin, got {self.cors_origin!r}")
        if self.request_timeout_s <= 0 or self.accept_timeout_s <= 0:
            raise ConfigError("timeouts must be longer than 0 s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a client wants to publish: `sdp` is checked for its form only."""

    stream: str
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A whole request: raw path without query, header names in lower case, body cut at the limit.

    The body may be one byte longer than `MAX_SDP_BYTES`, which tells that it was too long.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """A whole response; `body` is text in UTF-8."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""


def error(status: int, reason: str, *headers: tuple[str, str]) -> HttpResponse:
    """An error whose body is one plain-text line."""
    return HttpResponse(
        status=status,
        headers=(("Content-Type", "text/plain; charset=utf-8"), *headers),
        body=one_line(reason) + "\n",
    )
