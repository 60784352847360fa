"""Session descriptions from other peers: checked before aiortc acts on them. Pure.

aiortc fails on bad ones with exceptions of every kind, some of them in tasks of its own.
"""

from __future__ import annotations

import ipaddress

from stream.errors import PeerError


def without_unusable_candidates(sdp: str) -> str:
    """The same SDP with only UDP candidates at literal addresses.

    Names (mDNS, `….local`) would have to be resolved by multicast, which few servers can; their
    owners reach us, and become known, by their own connectivity checks (RFC 8445 section 7.3.1.3).
    """
    lines = sdp.splitlines()
    kept = [line for line in lines if not line.startswith("a=candidate:") or _is_usable(line)]
    return "\r\n".join(kept) + "\r\n"


def _is_usable(line: str) -> bool:
    """RFC 8839 section 5.1: foundation component transport priority address port typ type."""
    words = line.removeprefix("a=candidate:").split()
    if len(words) < 8 or words[2].lower() != "udp" or words[6] != "typ":
        return False
    try:
        ipaddress.ip_address(words[4])
        return int(words[1]) == 1 and int(words[3]) >= 0 and 0 < int(words[5]) < 65536
    except ValueError:
        return False


def check_answered_media(offer_kinds: list[str], rejected_kinds: list[str]) -> None:
    """Raise PeerError when the other end turned down a stream that was offered (RFC 3264)."""
    for kind in offer_kinds:
        if kind in rejected_kinds:
            hint = "; send without audio" if kind == "audio" else ""
            raise PeerError(f"the other end does not take our {kind}{hint}")


def rejected_media(sdp: str) -> list[str]:
    """The kinds of the media sections with port 0 (RFC 3264 section 6)."""
    sections = [line[2:].split() for line in sdp.splitlines() if line.startswith("m=")]
    return [words[0] for words in sections if len(words) > 1 and words[1] == "0"]
