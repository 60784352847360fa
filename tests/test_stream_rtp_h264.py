from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import PeerError
from stream.rtp_h264 import depayload, packetize, split_access_unit
from tests.live_media import coded_frames

START = b"\x00\x00\x00\x01"
SPS, PPS, IDR, SLICE, SEI = b"\x67\x64\x0c", b"\x68\xee", b"\x65\x88", b"\x41\x9a", b"\x06\x05"


def nal_units(max_bytes: int) -> st.SearchStrategy[bytes]:
    """NAL units with no start code inside, as emulation prevention guarantees."""
    body = st.binary(min_size=1, max_size=max_bytes).map(
        lambda data: data.replace(b"\x00", b"\x11") + b"\x80"
    )
    return st.tuples(st.sampled_from([0x41, 0x65, 0x67, 0x68, 0x06]), body).map(
        lambda unit: bytes([unit[0]]) + unit[1]
    )


@given(st.lists(nal_units(400), min_size=1, max_size=12), st.integers(20, 300))
def test_an_access_unit_survives_any_payload_size(units: list[bytes], max_bytes: int) -> None:
    payloads = packetize(b"".join(START + unit for unit in units), max_payload_bytes=max_bytes)
    assert all(len(payload) <= max_bytes for payload in payloads)
    rebuilt = b"".join(depayload(payload).data for payload in payloads)
    assert split_access_unit(rebuilt) == units


def test_real_access_units_survive() -> None:
    for coded in coded_frames(3):
        rebuilt = b"".join(depayload(payload).data for payload in packetize(coded.data))
        assert split_access_unit(rebuilt) == split_access_unit(coded.data)


def test_three_byte_start_codes_and_trailing_zeros_are_not_part_of_a_unit() -> None:
    assert split_access_unit(b"\x00\x00\x01" + SPS + b"\x00\x00" + START + PPS) == [SPS, PPS]
    assert split_access_unit(b"no start code") == []


def test_parameter_sets_share_a_packet_with_a_small_keyframe() -> None:
    (payload,) = packetize(START + SPS + START + PPS + START + IDR)
    part = depayload(payload)
    assert payload[0] == 24 | 0x60
    assert (part.starts_frame, part.is_keyframe) == (True, True)


def test_only_the_first_fragment_of_a_slice_starts_a_frame() -> None:
    payloads = packetize(START + SLICE + b"\x55" * 3000)
    parts = [depayload(payload) for payload in payloads]
    assert len(parts) == 3
    assert [part.starts_frame for part in parts] == [True, False, False]
    assert not any(part.is_keyframe for part in parts)


def test_a_later_slice_of_a_frame_does_not_start_one() -> None:
    assert not depayload(b"\x41\x3a\x55").starts_frame


def test_an_idr_slice_without_its_parameter_sets_does_not_start_a_frame() -> None:
    part = depayload(IDR)
    assert (part.starts_frame, part.is_keyframe) == (False, True)


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x41", b"\x18\x00", b"\x78\x00\x05\x41", b"\x78\x00\x00", b"\x7d\x01\x02\x03"],
)
def test_truncated_and_unknown_payloads_are_the_peers_fault(payload: bytes) -> None:
    with pytest.raises(PeerError):
        depayload(payload)


@given(st.binary(max_size=64))
def test_random_payloads_raise_nothing_else(payload: bytes) -> None:
    with contextlib.suppress(PeerError):
        depayload(payload)
