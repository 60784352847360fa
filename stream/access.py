"""Who may publish and who may watch: Bearer tokens (RFC 6750), of all streams or of one. Pure.

A token that opens more also opens less: whoever may publish a stream may watch it. Nothing is open
by oversight: as soon as any token is set, whatever no token was set for is closed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from stream.errors import ConfigError

_TOKEN = re.compile(r"[\x21-\x7e]+")
_STREAM = re.compile(r"[A-Za-z0-9_-]{1,64}")

MISSING_TOKEN = ("a Bearer token is required: use --token", "Bearer")
WRONG_TOKEN = ("the token is not the one this server expects", 'Bearer error="invalid_token"')
"""What to say of a request, and the challenge of its 401 (RFC 6750 section 3)."""


class Right(Enum):
    """What a token is for. PUBLISH: send a stream, or end it. VIEW: watch it and read figures."""

    PUBLISH = "publish"
    VIEW = "view"


def check_token(token: str | None) -> None:
    """Raise ConfigError when `token` cannot travel in an Authorization header (RFC 6750)."""
    if token is not None and not _TOKEN.fullmatch(token):
        raise ConfigError("a token must be printable ASCII without spaces, and not empty")


def parse_stream_token(text: str) -> tuple[str, str]:
    """Stream and token from `NAME=TOKEN`. Raises ConfigError, which does not repeat the token."""
    stream, separator, token = text.partition("=")
    if not separator or not _STREAM.fullmatch(stream):
        raise ConfigError("a stream's token is NAME=TOKEN, NAME of A-Z a-z 0-9 _ -, 1 to 64")
    check_token(token)
    return stream, token


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRules:
    """Tokens of all streams, and of single ones by name.

    is_viewing_public: watching takes no token at all. Raises ConfigError for unusable tokens.
    """

    publish_token: str | None = None
    view_token: str | None = None
    stream_publish_tokens: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    stream_view_tokens: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    is_viewing_public: bool = False

    def __post_init__(self) -> None:
        for token in self._all_tokens():
            check_token(token)
        for stream in (*self.stream_publish_tokens, *self.stream_view_tokens):
            if not _STREAM.fullmatch(stream):
                raise ConfigError(f"{stream!r} is not the name of a stream")

    @property
    def streams(self) -> frozenset[str]:
        """Names that have tokens of their own."""
        return frozenset((*self.stream_publish_tokens, *self.stream_view_tokens))

    @property
    def is_publishing_open(self) -> bool:
        """Whether anybody may publish under any name."""
        return self.publish_token is None and not self.stream_publish_tokens

    @property
    def is_viewing_open(self) -> bool:
        """Whether anybody may watch everything."""
        return self.is_viewing_public or not any(self._all_tokens())

    def denial(
        self, authorization: str, right: Right, *, stream: str | None
    ) -> tuple[str, str] | None:
        """None when a request may go on, else `MISSING_TOKEN` or `WRONG_TOKEN`.

        authorization: its Authorization header, or "". stream: None for what concerns them all.
        """
        if self.is_publishing_open if right is Right.PUBLISH else self.is_viewing_open:
            return None
        given = bearer_token(authorization)
        if given is None:
            return MISSING_TOKEN
        # All are compared, each in constant time, or the duration would tell of a lucky guess.
        matches = [_is_same(given, token) for token in self._accepted(right, stream)]
        return None if any(matches) else WRONG_TOKEN

    def _accepted(self, right: Right, stream: str | None) -> Iterator[str]:
        """Every token that gives `right` on `stream`."""
        tokens = [self.publish_token]
        if stream is not None:
            tokens.append(self.stream_publish_tokens.get(stream))
        if right is Right.VIEW:
            tokens.append(self.view_token)
            if stream is not None:
                tokens.append(self.stream_view_tokens.get(stream))
        yield from (token for token in tokens if token is not None)

    def _all_tokens(self) -> Iterator[str]:
        yield from (token for token in (self.publish_token, self.view_token) if token is not None)
        yield from self.stream_publish_tokens.values()
        yield from self.stream_view_tokens.values()


def bearer_token(authorization: str) -> str | None:
    """The token of an Authorization header; None when it carries none."""
    scheme, _, given = authorization.partition(" ")
    return given.strip() or None if scheme.lower() == "bearer" else None


def _is_same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())
