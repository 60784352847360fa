from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import PeerError
from stream.rtp_vp8 import depayload, packetize

KEYFRAME, DELTA = b"\x10\x02\x00\x9d\x01\x2a", b"\x11\x02\x00"


@given(st.binary(min_size=1, max_size=4000), st.integers(0, 1 << 17))
def test_a_frame_survives(frame: bytes, picture_id: int) -> None:
    payloads = packetize(frame, picture_id=picture_id, max_payload_bytes=500)
    assert all(len(payload) <= 500 for payload in payloads)
    parts = [depayload(payload) for payload in payloads]
    assert b"".join(part.data for part in parts) == frame
    assert [part.starts_frame for part in parts] == [True] + [False] * (len(parts) - 1)


@pytest.mark.parametrize(
    ("descriptor", "starts_frame"),
    [
        (b"\x10", True),
        (b"\x00", False),
        (b"\x11", False),  # a later partition
        (b"\x90\x80\x12", True),  # 7-bit picture ID
        (b"\x90\x80\x92\x34", True),  # 15-bit picture ID
        (b"\x90\xf0\x92\x34\x01\x20", True),  # everything a browser sends
    ],
)
def test_every_form_of_descriptor_is_removed(descriptor: bytes, starts_frame: bool) -> None:
    part = depayload(descriptor + KEYFRAME)
    assert part.data == KEYFRAME
    assert (part.starts_frame, part.is_keyframe) == (starts_frame, starts_frame)


def test_a_predicted_frame_is_no_keyframe() -> None:
    assert not depayload(b"\x10" + DELTA).is_keyframe


@given(st.binary(max_size=8))
def test_random_payloads_are_read_or_are_the_peers_fault(payload: bytes) -> None:
    with contextlib.suppress(PeerError):
        assert depayload(payload).data


@pytest.mark.parametrize("payload", [b"", b"\x10", b"\x90", b"\x90\x80\x92", b"\x90\x80\x92\x34"])
def test_a_payload_that_ends_in_its_descriptor_is_the_peers_fault(payload: bytes) -> None:
    with pytest.raises(PeerError, match="truncated"):
        depayload(payload)
