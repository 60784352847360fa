from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import PeerError
from stream.session_description import (
    check_answered_media,
    rejected_media,
    without_unusable_candidates,
)

USABLE = (
    "a=candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host",
    "a=candidate:1 1 UDP 2130706431 2001:db8::7 5000 typ srflx raddr 10.0.0.1 rport 9",
)
UNUSABLE = (
    "a=candidate:1 1 udp 2130706431 7b3e-11.local 5000 typ host",
    "a=candidate:1 1 tcp 2130706431 192.0.2.7 9 typ host tcptype active",
    "a=candidate:1 1 udp 2130706431 192.0.2.7 99999 typ host",
    "a=candidate:1 one udp 2130706431 192.0.2.7 5000 typ host",
    "a=candidate:1 2 udp 2130706431 192.0.2.7 5000 typ host",  # RTCP on its own
    "a=candidate:",
)


def test_only_udp_candidates_at_literal_addresses_stay() -> None:
    sdp = "\r\n".join(["v=0", *USABLE, *UNUSABLE, "a=end-of-candidates", ""])
    assert without_unusable_candidates(sdp).split("\r\n") == [
        "v=0",
        *USABLE,
        "a=end-of-candidates",
        "",
    ]


@given(st.text(max_size=200))
def test_any_text_is_filtered_without_an_error(text: str) -> None:
    without_unusable_candidates("a=candidate:" + text)


def test_a_media_section_with_port_zero_is_rejected() -> None:
    sdp = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\nm=audio 0 UDP/TLS/RTP/SAVPF 97\r\nm=\r\n"
    assert rejected_media(sdp) == ["audio"]


def test_a_rejected_stream_is_the_peers_decision_and_says_what_to_do() -> None:
    check_answered_media(["video"], ["audio"])
    with pytest.raises(PeerError, match="send without audio"):
        check_answered_media(["video", "audio"], ["audio"])
