from __future__ import annotations

import pytest
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from stream.rtp_header import (
    extension_of,
    sequence_number_of,
    ssrc_of,
    timestamp_of,
    with_extensions,
)
from stream.twcc import EXTENSION_URI

MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"


def packet(*, number_id: int = 4, mid: str = "0") -> bytes:
    """As aiortc writes it; ids above 14 and long names need the two-byte form."""
    extensions = HeaderExtensionsMap()
    extensions.configure(
        RTCRtpParameters(
            headerExtensions=[
                RTCRtpHeaderExtensionParameters(id=1, uri=MID_URI),
                RTCRtpHeaderExtensionParameters(id=number_id, uri=EXTENSION_URI),
            ]
        )
    )
    written = RtpPacket(
        payload_type=97, sequence_number=500, timestamp=9000, ssrc=77, payload=b"payload"
    )
    written.csrc = [1, 2]
    written.extensions.mid = mid
    written.extensions.transport_sequence_number = 0
    return written.serialize(extensions)


@pytest.mark.parametrize(("number_id", "mid"), [(4, "0"), (14, "12"), (20, "0"), (4, "m" * 20)])
def test_a_number_is_written_into_its_place_and_nothing_else_changes(
    number_id: int, mid: str
) -> None:
    before = packet(number_id=number_id, mid=mid)
    after = with_extensions(before, {number_id: b"\xab\xcd", 13: b"x"})
    assert extension_of(after, number_id) == b"\xab\xcd"
    assert extension_of(after, 1) == mid.encode()
    assert extension_of(after, 9) is None
    assert len(after) == len(before)
    assert after.replace(b"\xab\xcd", b"\0\0") == before
    assert (ssrc_of(after), sequence_number_of(after), timestamp_of(after)) == (77, 500, 9000)


def test_data_of_another_length_is_left_alone() -> None:
    before = packet()
    assert with_extensions(before, {4: b"abc"}) == before
    plain = RtpPacket(payload=b"no extensions").serialize()
    assert with_extensions(plain, {4: b"ab"}) == plain
    assert extension_of(plain, 4) is None


@given(st.binary(max_size=60), st.integers(0, 255))
def test_junk_is_neither_read_beyond_its_end_nor_changed_in_length(junk: bytes, word: int) -> None:
    for each in (junk, b"\x90" + junk, b"\x90" * 12 + b"\xbe\xde\0" + bytes([word]) + junk):
        extension_of(each, word)
        assert len(with_extensions(each, {word % 15: b"ab"})) == len(each)


def test_every_truncation_is_survived() -> None:
    whole = packet()
    for length in range(len(whole)):
        found = extension_of(whole[:length], 4)
        assert found in (None, b"\0\0")
