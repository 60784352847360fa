"""The strict reader itself: it takes what is right, and finds each rule that is broken."""

from __future__ import annotations

import pytest

from tests.hls_rules import check_history, read_playlist

PLAIN = """#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="header.mp4"
#EXTINF:2.00000,
a.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="header2.mp4"
#EXTINF:2.40000,
b.m4s
"""
LOW_LATENCY = """#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-PART-INF:PART-TARGET=1.1
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=3.3
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="header.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000+00:00
#EXT-X-PART:DURATION=1.00000,URI="a.0",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.50000,URI="a.1"
#EXTINF:1.50000,
a.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:01.500+00:00
#EXT-X-PART:DURATION=1.00000,URI="b.0",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="b.1"
"""


def test_right_playlists_are_taken() -> None:
    assert [segment.duration_s for segment in read_playlist(PLAIN).segments] == [2.0, 2.4]
    assert [len(segment.parts) for segment in read_playlist(LOW_LATENCY).segments] == [2, 1]
    check_history([PLAIN, PLAIN + "#EXT-X-ENDLIST\n"])


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (PLAIN, "#EXTM3U\n", ""),
        (PLAIN, "2.40000", "2.60000"),
        (PLAIN, "VERSION:6", "VERSION:5"),
        (PLAIN, '#EXT-X-MAP:URI="header2.mp4"\n', ""),
        (PLAIN, "#EXTINF:2.40000,\n", ""),
        (PLAIN, "b.m4s", "a.m4s"),
        (PLAIN, "#EXT-X-DISCONTINUITY\n", "#EXT-X-NONSENSE\n"),
        (PLAIN, "#EXT-X-VERSION:6\n", "#EXT-X-VERSION:6\n#EXT-X-VERSION:6\n"),
        (PLAIN, "a.m4s\n", "a.m4s\n#EXT-X-ENDLIST\n"),
        (PLAIN, "a.m4s\n", 'a.m4s\n#EXT-X-PART:DURATION=1,URI="x",INDEPENDENT=YES\n'),
        (LOW_LATENCY, "PART-HOLD-BACK=3.3", "PART-HOLD-BACK=2.2"),
        (LOW_LATENCY, "CAN-BLOCK-RELOAD=YES,", ""),
        (LOW_LATENCY, 'DURATION=1.00000,URI="a.0"', 'DURATION=1.20000,URI="a.0"'),
        (LOW_LATENCY, 'DURATION=1.00000,URI="b.0"', 'DURATION=0.90000,URI="b.0"'),
        (LOW_LATENCY, 'URI="b.0",INDEPENDENT=YES', 'URI="b.0"'),
        (LOW_LATENCY, "00:00:01.500+00:00", "00:00:01.500"),
        (LOW_LATENCY, '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="b.1"\n', ""),
        (LOW_LATENCY, 'TYPE=PART,URI="b.1"', 'URI="b.1"'),
        (LOW_LATENCY, "#EXTINF:1.50000", "#EXTINF:1.60000"),
    ],
)
def test_a_broken_rule_is_found(text: str, old: str, new: str) -> None:
    assert old in text
    with pytest.raises((AssertionError, KeyError, ValueError)):
        read_playlist(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("TARGETDURATION:2", "TARGETDURATION:3"),
        ("MEDIA-SEQUENCE:7", "MEDIA-SEQUENCE:6"),
        ("MEDIA-SEQUENCE:7", "MEDIA-SEQUENCE:8"),
        ("DISCONTINUITY-SEQUENCE:0", "DISCONTINUITY-SEQUENCE:1"),
        ("#EXTINF:2.00000", "#EXTINF:2.10000"),
        ("a.m4s", "c.m4s"),
    ],
)
def test_a_playlist_that_cannot_follow_another_is_found(old: str, new: str) -> None:
    assert old in PLAIN
    with pytest.raises(AssertionError):
        check_history([PLAIN, PLAIN.replace(old, new)])
