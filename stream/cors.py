"""Which web pages of other origins may talk to the server (Fetch standard, section 3.2). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from stream.errors import ConfigError

ANY_ORIGIN = "*"


def check_origin(origin: str) -> None:
    """Raise ConfigError unless `origin` is `*` or an origin as browsers send it."""
    if origin == ANY_ORIGIN:
        return
    try:
        parts = urlsplit(origin)
        is_origin = bool(parts.hostname) and origin == f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        is_origin = False
    if not is_origin or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise ConfigError(f"{origin!r} is not an origin: write * or https://HOST[:PORT]")


def cors_headers(
    allowed: tuple[str, ...], request_headers: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Headers that let the page of a request read the response, if its origin is allowed.

    allowed: origins, or `*` for all. The server uses no cookies, so `*` gives away no login.
    """
    exposed = ("Access-Control-Expose-Headers", "Location, ETag, Link, Retry-After")
    if ANY_ORIGIN in allowed:
        return (("Access-Control-Allow-Origin", ANY_ORIGIN), exposed)
    origin = request_headers.get("origin", "")
    varies = ("Vary", "Origin")  # or a cache would give one origin's answer to another
    if origin.lower() in (each.lower() for each in allowed):
        return (("Access-Control-Allow-Origin", origin), exposed, varies)
    return (varies,)
