"""The words of signalling over HTTP: how a server is configured, and the messages it deals in.

Pure values: `stream.session_table` holds the rules, `stream.http_server` the sockets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from stream.access import AccessRules, Right
from stream.cors import check_origin
from stream.errors import ConfigError
from stream.sdp_text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """Where to listen, and who may publish.

    port: 0 lets the system choose one.
    access: which Bearer tokens requests must carry.
    tls_cert, tls_key: certificate chain and key in PEM files; None serves plain HTTP.
    max_sessions: how many may publish at the same time; one more gets 503.
    cors_origins: origins whose pages may use the server, `*` for all.
    requests_per_s: what one client address may ask for, more gets 429; None for any number.
    replace_publisher: a new session takes over the name of a live one, instead of getting 409.
    request_timeout_s: how long a client may take to send its request head, and then its body.
    accept_timeout_s: how long answering an offer may take.

    Raises ConfigError for values that cannot work.
    """

    host: str
    port: int
    access: AccessRules = field(default_factory=AccessRules)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    max_sessions: int = 8
    cors_origins: tuple[str, ...] = ("*",)
    requests_per_s: float | None = None
    replace_publisher: bool = False
    request_timeout_s: float = 10.0
    accept_timeout_s: float = 20.0

    def __post_init__(self) -> None:
        if not self.host:
            raise ConfigError("the host to listen on is empty: give HOST:PORT")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port {self.port} is outside 0..65535")
        if self.max_sessions < 1:
            raise ConfigError(f"max_sessions must be at least 1, got {self.max_sessions}")
        for origin in self.cors_origins:
            check_origin(origin)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigError("TLS needs both a certificate and its key: --tls-cert and --tls-key")
        if self.request_timeout_s <= 0 or self.accept_timeout_s <= 0:
            raise ConfigError("timeouts must be longer than 0 s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a client wants to publish or view: `sdp` is checked for its form only.

    view: when viewing, the picture that was restored or the one that was received.
    """

    stream: str
    sdp: str
    view: Literal["restored", "received"] = "restored"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A whole request: raw path and query (without `?`), header names in lower case, cut body.

    The body may be one byte longer than `MAX_SDP_BYTES`, which tells that it was too long.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    query: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """A whole response; `body` is text, sent in UTF-8, or bytes as they are."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: str | bytes = ""


class HttpService(Protocol):
    """Answers some paths of a server beside /whip."""

    async def respond(self, request: HttpRequest) -> HttpResponse | None:
        """The response; None when the path is not one of this service."""


def error(status: int, reason: str, *headers: tuple[str, str]) -> HttpResponse:
    """An error whose body is one plain-text line."""
    return HttpResponse(
        status=status,
        headers=(("Content-Type", "text/plain; charset=utf-8"), *headers),
        body=one_line(reason) + "\n",
    )


def denied(
    access: AccessRules, request: HttpRequest, right: Right, *, stream: str | None
) -> HttpResponse | None:
    """The 401 for a request without a token that gives `right`; None when it may go on."""
    denial = access.denial(request.headers.get("authorization", ""), right, stream=stream)
    if denial is None:
        return None
    reason, challenge = denial
    return error(401, reason, ("WWW-Authenticate", challenge))
