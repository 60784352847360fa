from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import PeerError
from stream.jitter_buffer import PayloadPart
from stream.rtp_vp9 import depayload


@pytest.mark.parametrize(
    ("descriptor", "starts_frame", "is_keyframe"),
    [
        (b"\x08", True, True),  # B
        (b"\x48", True, False),  # P, B
        (b"\x04", False, False),  # E: a later packet of a keyframe
        (b"\x88\x11", True, True),  # short picture ID
        (b"\x88\x91\x22", True, True),  # long picture ID
        (b"\x28\x00\x05", True, True),  # layers and TL0PICIDX
        (b"\x28\x02\x05", False, False),  # spatial layer 1
        (b"\x78\x00\x03\x02", True, False),  # flexible, two references
        (b"\x0a\x18\x01\x40\x00\xb4\x02\x00\x04\x01", True, True),  # structure: size, two pictures
    ],
)
def test_the_descriptor_is_taken_off(
    descriptor: bytes, starts_frame: bool, is_keyframe: bool
) -> None:
    part = depayload(descriptor + b"frame")
    assert part == PayloadPart(data=b"frame", starts_frame=starts_frame, is_keyframe=is_keyframe)
    with pytest.raises(PeerError):
        depayload(descriptor)


@given(st.binary(max_size=24))
def test_random_payloads_raise_nothing_else(payload: bytes) -> None:
    with contextlib.suppress(PeerError):
        assert len(depayload(payload).data) < len(payload)
