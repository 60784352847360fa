"""SDP bodies as HTTP carries them: what they must look like, before anybody takes their meaning.

Shared by both sides of WHIP and WHEP. Pure; every parser raises PeerError with one line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from stream.errors import PeerError

SDP_TYPE = "application/sdp"
SDP_FRAGMENT_TYPE = "application/trickle-ice-sdpfrag"
"""RFC 8840 section 9."""

MAX_SDP_BYTES = 64 * 1024
"""A browser's offer with every codec and extension has about 8 KiB; more than 64 is an attack."""

MAX_LINE_CHARS = 300
"""How much of a remote side's words is repeated in a message."""

_TYPE_AND_VALUE = re.compile(r"[a-z]=.*")
_ICE_UFRAG = re.compile(r"^a=ice-ufrag:(\S+)", re.MULTILINE)


def media_type(headers: Mapping[str, str]) -> str:
    """The media type without parameters, in lower case; empty when there is none."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def one_line(text: str) -> str:
    """Text of any origin as one printable line of bounded length."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:MAX_LINE_CHARS]


def read_sdp(body: bytes) -> str:
    """A session description (RFC 8866): starts with `v=0`, then `x=value` lines only."""
    text = _read_lines(body, "SDP")
    if text.split("\n", 1)[0].removesuffix("\r") != "v=0":
        raise PeerError("the SDP must begin with v=0")
    return text


def read_sdp_fragment(body: bytes) -> str:
    """A fragment of one (RFC 8840): `x=value` lines only, at least one."""
    return _read_lines(body, "SDP fragment")


def ice_ufrags(sdp: str) -> frozenset[str]:
    """Every ICE user name fragment in it (RFC 8839 section 5.4)."""
    return frozenset(_ICE_UFRAG.findall(sdp))


def _read_lines(body: bytes, what: str) -> str:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as malformed:
        raise PeerError(f"the {what} is not UTF-8 text") from malformed
    # RFC 8866 section 5: lines end with CRLF, parsers should also take a bare LF; so no
    # splitlines(), which would also split at form feeds and Unicode separators inside a value.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if not any(lines):
        raise PeerError(f"the {what} is empty")
    for number, line in enumerate(lines, start=1):
        if line and (not _TYPE_AND_VALUE.fullmatch(line) or "\0" in line):
            raise PeerError(f"line {number} of the {what} is not of the form x=value")
    return text
