"""The form of SDP bodies: whole, cut, and junk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import PeerError
from stream.sdp_text import ice_ufrags, media_type, one_line, read_sdp, read_sdp_fragment

SDP = (
    "v=0\r\ns=caf\u00e9 \u2028 here\r\n\r\na=ice-ufrag:EsAw\r\nm=audio 9 UDP 0\na=ice-ufrag:Zz+/\n"
)


def test_sdp_is_taken_unchanged_with_either_line_end() -> None:
    assert read_sdp(SDP.encode()) == SDP
    assert read_sdp(b"v=0") == "v=0"


def test_a_fragment_needs_no_version_line() -> None:
    assert read_sdp_fragment(b"a=mid:0\r\n") == "a=mid:0\r\n"


@pytest.mark.parametrize("body", [b"", b"\r\n\r\n", b"a=ok\r\nnope\r\n", b"A=b\r\n", b"=x\r\n"])
def test_what_is_not_lines_of_sdp_is_refused_by_both(body: bytes) -> None:
    for read in (read_sdp, read_sdp_fragment):
        with pytest.raises(PeerError, match="SDP"):
            read(body)


def test_the_line_at_fault_is_named() -> None:
    with pytest.raises(PeerError, match="line 3 "):
        read_sdp(b"v=0\r\ns=-\r\noops\r\n")


def test_every_ice_user_name_is_found() -> None:
    assert ice_ufrags(SDP) == {"EsAw", "Zz+/"}
    assert ice_ufrags("v=0\r\nx a=ice-ufrag:no\r\n") == frozenset()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Application/SDP", "application/sdp"),
        (" application/sdp ; charset=utf-8", "application/sdp"),
        ("", ""),
        (";", ""),
    ],
)
def test_a_media_type_is_compared_without_parameters(value: str, expected: str) -> None:
    assert media_type({"content-type": value}) == expected


def test_no_media_type_is_the_empty_one() -> None:
    assert media_type({}) == ""


@given(st.text(max_size=500))
def test_any_text_becomes_one_printable_bounded_line(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert len(line) <= 300
    assert line == line.strip()


@given(st.one_of(st.binary(), st.binary().map(lambda raw: b"v=0\r\n" + raw)))
def test_any_bytes_are_sdp_or_refused(body: bytes) -> None:
    try:
        text = read_sdp(body)
    except PeerError:
        return
    assert text.encode() == body
    assert text.startswith("v=0")
    assert "\0" not in text


@given(st.integers(min_value=0, max_value=len(SDP.encode())))
def test_sdp_cut_between_lines_is_taken_and_cut_elsewhere_never_crashes(cut: int) -> None:
    body = SDP.encode()[:cut]
    if body.endswith(b"\n"):
        assert read_sdp(body).encode() == body
        return
    try:
        text = read_sdp(body)
    except PeerError:
        return
    assert SDP.startswith(text)
