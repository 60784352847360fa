"""The client's side of WHIP and WHEP without I/O: what each response to a POST or PATCH means.

Errors tell the caller what to do: ConfigError when the user must change something (URL, token),
`SignallingError` when trying again later may work. By RFC 9725 section 4.1 a client never reads a
precise cause into a status code; unknown codes fall back to their class. Messages name the URL
without user, password and query, since those may be secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit, urlunsplit

from stream.errors import ConfigError, PeerError, SignallingError
from stream.sdp_text import MAX_SDP_BYTES, SDP_TYPE, media_type, one_line, read_sdp

MAX_REDIRECTS = 3

MAX_RETRY_AFTER_S = 3600.0
"""A peer that asks for a longer wait is asked again after this one."""

_NO_ENDPOINT = {
    404: "nothing is there: check the path",
    405: "takes no POST: it is not the URL of an endpoint",
    410: "is gone: check the path",
    415: "takes no SDP: it is not the URL of an endpoint",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole response: header names in lower case, body cut one byte above `MAX_SDP_BYTES`."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAnswer:
    """The session exists. session_url: absolute; entity_tag: its ETag, or None."""

    answer_sdp: str
    session_url: str
    entity_tag: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """Send the same offer to this absolute URL instead."""

    url: str


def check_url(url: str) -> None:
    """Raise ConfigError unless `url` is an http or https URL with a host."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or " " in url:
        raise ConfigError(f"not an http:// or https:// URL: {one_line(public_url(url))}")


def public_url(url: str) -> str:
    """The URL without user, password, query and fragment: fit for a message."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(malformed)"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def is_downgrade(url: str, *, from_url: str) -> bool:
    """Whether going on from one URL to the other gives up encryption."""
    return urlsplit(from_url).scheme == "https" and urlsplit(url).scheme != "https"


def read_post_reply(reply: Reply, url: str, has_token: bool) -> SessionAnswer | Redirect:
    """What became of an offer that was posted to `url`.

    Raises ConfigError or SignallingError as the module says.
    """
    if reply.status == 201:
        return SessionAnswer(
            answer_sdp=read_sdp_body(reply, url=url),
            session_url=read_location(reply, url=url),
            entity_tag=reply.headers.get("etag"),
        )
    if reply.status == 307:
        target = read_location(reply, url=url)
        if is_downgrade(target, from_url=url):
            raise ConfigError(f"{public_url(url)} redirects to an unencrypted URL")
        return Redirect(url=target)
    raise refusal(reply, url, has_token)


def refusal(reply: Reply, url: str, has_token: bool) -> ConfigError | SignallingError:
    """The error that a status other than the hoped-for one stands for."""
    where, status = public_url(url), reply.status
    said = _said(reply)
    if status in (401, 403):
        if has_token:
            return ConfigError(f"{where} rejected the token{said}")
        return ConfigError(f"{where} wants a token: use --token{said}")
    if status in _NO_ENDPOINT:
        return ConfigError(f"{where} {_NO_ENDPOINT[status]}{said}")
    if 200 <= status < 300:
        return ConfigError(f"{where} is not a WHIP or WHEP endpoint: it answered {status}")
    if 300 <= status < 400:
        # RFC 9725 section 4.5 allows 307 only: others may turn the POST into a GET.
        target = public_url(urljoin(url, reply.headers.get("location", "")))
        return ConfigError(f"{where} moved ({status}): use its new URL, {one_line(target)}")
    retry_after_s = read_retry_after_s(reply.headers)
    if status == 503:
        return SignallingError(f"{where} is busy{said}", retry_after_s=retry_after_s)
    if status == 409:
        message = f"{where} cannot open this stream now (409){said}"
        return SignallingError(message, retry_after_s=retry_after_s)
    return SignallingError(f"{where} answered {status}{said}", retry_after_s=retry_after_s)


def read_sdp_body(reply: Reply, *, url: str) -> str:
    """The SDP that a reply carries. Raises SignallingError when it carries none."""
    where = public_url(url)
    if media_type(reply.headers) != SDP_TYPE:
        got = one_line(media_type(reply.headers)) or "no type"
        raise SignallingError(f"{where} sent {got} instead of {SDP_TYPE}")
    if len(reply.body) > MAX_SDP_BYTES:
        raise SignallingError(f"{where} sent an SDP longer than {MAX_SDP_BYTES} bytes")
    try:
        return read_sdp(reply.body)
    except PeerError as malformed:
        raise SignallingError(f"{where}: {malformed}") from malformed


def read_location(reply: Reply, *, url: str) -> str:
    """The absolute URL of the Location header. Raises SignallingError when there is none."""
    location = reply.headers.get("location", "")
    try:
        target = urljoin(url, location)
        if not location:
            raise ConfigError("no Location")
        check_url(target)
    except (ValueError, ConfigError) as unusable:
        where = public_url(url)
        raise SignallingError(f"{where} sent no usable Location ({reply.status})") from unusable
    return target


def read_retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of Retry-After (RFC 9110 section 10.2.3), at most `MAX_RETRY_AFTER_S`, or None.

    A date counts from the reply's own Date, so no clock is needed and none must be right.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), MAX_RETRY_AFTER_S)
    at, now = _read_date(value), _read_date(headers.get("date", ""))
    if at is None or now is None:
        return None
    return min(max((at - now).total_seconds(), 0.0), MAX_RETRY_AFTER_S)


def _read_date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
        return date if date.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _said(reply: Reply) -> str:
    """The first line of a reply in words, as a suffix for a message; empty for web pages."""
    if media_type(reply.headers) not in ("text/plain", "application/json"):
        return ""
    text = reply.body.decode("utf-8", "replace").strip()
    return f" (it said: {one_line(text)})" if text else ""
