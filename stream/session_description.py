"""Session descriptions from other peers: checked before aiortc acts on them. Pure.

aiortc fails on bad ones with exceptions of every kind, some of them in tasks of its own.
"""

from __future__ import annotations

import ipaddress

from stream.errors import PeerError

_TRANSPORT_LINES = ("a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:", "a=setup:", "a=rtcp-mux")
_CODEC_LINES = ("m=", "c=", "a=mid:", "a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=sctp-port:")


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


def with_rejected_media_inactive(answer: str, offer: str) -> str:
    """The same answer with rejected sound as a section that is merely inactive.

    A media section with port 0 is rejected (RFC 3264 section 6) and may lack everything else, which
    aiortc does not know: it needs credentials and codecs in each. They are taken from the sections
    next to it and from our offer. Raises PeerError when it is the video that is rejected.
    """
    session, *answered = _sections(answer)
    _, *offered = _sections(offer)
    accepted = next((section for section in answered if not _is_rejected(section)), None)
    if accepted is None or any(_is_rejected(s) and s[0].startswith("m=video") for s in answered):
        raise PeerError("the other end does not take our video")
    if len(answered) != len(offered):
        raise PeerError(f"{len(offered)} media were offered, {len(answered)} answered")
    transport = [line for line in accepted if line.startswith(_TRANSPORT_LINES)]
    for index, section in enumerate(answered):
        if not _is_rejected(section):
            continue
        codecs = [line for line in offered[index] if line.startswith(_CODEC_LINES)]
        answered[index] = [*codecs, *transport, "a=inactive"]
        name = next((line[6:] for line in codecs if line.startswith("a=mid:")), "")
        session = [
            f"{line} {name}" if line.startswith("a=group:BUNDLE") else line for line in session
        ]
    return "\r\n".join(line for section in (session, *answered) for line in section) + "\r\n"


def _sections(sdp: str) -> list[list[str]]:
    """Its lines, the session's first, then those of each media section."""
    sections: list[list[str]] = [[]]
    for line in sdp.splitlines():
        if line.startswith("m="):
            sections.append([])
        sections[-1].append(line)
    return sections


def _is_rejected(section: list[str]) -> bool:
    words = section[0].split()
    return len(words) > 1 and words[1] == "0"
