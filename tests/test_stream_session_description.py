from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import PeerError
from stream.session_description import (
    with_rejected_media_inactive,
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


OFFER = """v=0
a=group:BUNDLE 0 1
m=video 9 UDP/TLS/RTP/SAVPF 97
a=mid:0
a=sendonly
m=audio 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:1
a=sendonly
a=rtpmap:96 opus/48000/2
a=ssrc:7 cname:x
a=setup:actpass
"""
ANSWER = """v=0
a=group:BUNDLE 0
m=video 5000 UDP/TLS/RTP/SAVPF 97
a=mid:0
a=ice-ufrag:abcd
a=fingerprint:sha-256 00
a=setup:passive
a=rtcp-mux
a=recvonly
m=audio 0 UDP/TLS/RTP/SAVPF 0
a=inactive
"""


def test_sound_that_the_other_end_rejects_becomes_an_inactive_part_of_the_bundle() -> None:
    result = with_rejected_media_inactive(ANSWER, OFFER).split("\r\n")
    assert result[1] == "a=group:BUNDLE 0 1"
    assert result[2:9] == ANSWER.splitlines()[2:9]
    assert result[9:] == [
        "m=audio 9 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 0.0.0.0",
        "a=mid:1",
        "a=rtpmap:96 opus/48000/2",
        "a=ice-ufrag:abcd",
        "a=fingerprint:sha-256 00",
        "a=setup:passive",
        "a=rtcp-mux",
        "a=inactive",
        "",
    ]


def test_an_answer_that_takes_everything_is_left_as_it_is() -> None:
    answer = ANSWER.replace("m=audio 0", "m=audio 5000")
    assert with_rejected_media_inactive(answer, OFFER).splitlines() == answer.splitlines()


def test_rejected_video_is_an_error() -> None:
    with pytest.raises(PeerError, match="does not take our video"):
        with_rejected_media_inactive(ANSWER.replace("m=video 5000", "m=video 0"), OFFER)


def test_an_answer_with_other_media_than_offered_is_an_error() -> None:
    with pytest.raises(PeerError, match="2 media were offered, 1 answered"):
        with_rejected_media_inactive(ANSWER[: ANSWER.index("m=audio")], OFFER)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_answer_is_worked_on_or_refused(answer: str, offer: str) -> None:
    with contextlib.suppress(PeerError):
        with_rejected_media_inactive(f"m=video 9\n{answer}\nm=audio 0 x", offer)
