from __future__ import annotations

import contextlib
import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.svt_av1 import SvtAv1
from stream.errors import PeerError
from stream.frame import Size
from stream.jitter_buffer import JitterBuffer, MediaPacket
from stream.obu import TEMPORAL_DELIMITER, Obu, ObuType, read_leb128, write_leb128
from stream.rtp_av1 import assemble, depayload, packetize
from tests.live_media import INTERVAL, picture

SEQUENCE = b"\x08" + b"\x00\x00\x00\x04\x3c"  # OBUs without size: header, payload
KEY, INTER = b"\x30\x10" + b"k" * 40, b"\x30\x32" + b"i" * 40


def obu(kind: int, payload: bytes, *, extension: int | None = None) -> Obu:
    header = bytes([kind << 3]) if extension is None else bytes([kind << 3 | 4, extension])
    return Obu(header=header, payload=payload)


def unit_of(*obus: Obu) -> bytes:
    return TEMPORAL_DELIMITER + b"".join(each.with_size() for each in obus)


def rebuilt(payloads: list[bytes]) -> bytes:
    return assemble(b"".join(depayload(payload).data for payload in payloads))


def real_units(count: int) -> list[bytes]:
    size = Size(width=320, height=192)
    codec = SvtAv1(size, frame_rate=Fraction(25), preset=10)
    coded = [
        codec.encode(picture(n, size=size), quantiser=10, is_keyframe=n % 5 == 0)
        for n in range(count)
    ]
    codec.close()
    return coded


obus = st.builds(
    obu,
    st.sampled_from([ObuType.SEQUENCE_HEADER, ObuType.FRAME, ObuType.METADATA, ObuType.TILE_GROUP]),
    st.binary(max_size=700),
    extension=st.none() | st.sampled_from([0x00, 0x28]),
)


@given(st.lists(obus, min_size=1, max_size=12), st.integers(20, 300))
def test_a_temporal_unit_survives_any_payload_size(units: list[Obu], max_bytes: int) -> None:
    unit = unit_of(*units)
    payloads = packetize(unit, max_payload_bytes=max_bytes)
    assert all(len(payload) <= max_bytes for payload in payloads)
    assert rebuilt(payloads) == unit


def test_real_temporal_units_survive_in_packets_of_nearly_equal_size() -> None:
    for unit in real_units(6):
        payloads = packetize(unit)
        assert rebuilt(payloads) == unit
        sizes = [len(payload) for payload in payloads]
        assert max(sizes) <= 1200
        assert max(sizes) - min(sizes) <= max(sizes) / 4 or len(sizes) == 1


def test_a_small_keyframe_is_one_packet_that_starts_a_sequence() -> None:
    unit = unit_of(obu(1, SEQUENCE[1:]), obu(6, KEY[1:]))
    (payload,) = packetize(unit)
    assert payload == b"\x28" + bytes([len(SEQUENCE)]) + SEQUENCE + KEY  # W = 2, N; no sizes
    part = depayload(payload)
    assert (part.starts_frame, part.is_keyframe) == (True, True)


def test_a_small_frame_is_one_packet_without_delimiter_and_sizes() -> None:
    (payload,) = packetize(unit_of(obu(6, INTER[1:])))
    assert payload == b"\x10" + INTER
    part = depayload(payload)
    assert (part.starts_frame, part.is_keyframe) == (True, False)


def test_fragments_say_that_they_continue_and_only_the_first_starts_a_frame() -> None:
    payloads = packetize(unit_of(obu(1, SEQUENCE[1:]), obu(6, b"\x10" + b"k" * 3000)))
    parts = [depayload(payload) for payload in payloads]
    assert [payload[0] & 0xC8 for payload in payloads] == [0x48, 0xC0, 0x80]  # ZY--N
    assert [part.starts_frame for part in parts] == [True, False, False]
    assert [part.is_keyframe for part in parts] == [True, False, False]


def test_a_keyframe_whose_sequence_header_was_lost_does_not_start_a_frame() -> None:
    part = depayload(b"\x10" + KEY)
    assert (part.starts_frame, part.is_keyframe) == (False, True)


def test_what_other_senders_do_is_understood() -> None:
    whole = unit_of(obu(1, SEQUENCE[1:]), obu(6, KEY[1:]))
    sized = [b"\x12\x00", obu(1, SEQUENCE[1:]).with_size(), obu(6, KEY[1:]).with_size()]
    counted = b"".join(write_leb128(len(each)) + each for each in (SEQUENCE, KEY))
    for payloads in (
        [b"\x08" + counted],  # W = 0: every element has its length
        [b"\x38\x02" + sized[0] + bytes([len(sized[1])]) + sized[1] + sized[2]],  # delimiter, sizes
        [b"\x18" + SEQUENCE, b"\x50" + KEY[:10], b"\xd0" + KEY[10:20], b"\x90" + KEY[20:]],
        [b"\x68" + bytes([len(SEQUENCE)]) + SEQUENCE + KEY[:1], b"\x90" + KEY[1:]],
    ):
        assert rebuilt(payloads) == whole


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x10",  # no element
        b"\x20\x05\x30\x00",  # the first of two is cut off
        b"\x20\x02\x30\x00",  # the second of two is missing
        b"\x00\x00",  # an empty element
        b"\x00\xff\xff",  # its length is cut off
        b"\x98\x30\x00",  # Z and N
    ],
)
def test_payloads_that_do_not_parse_are_the_peers_fault(payload: bytes) -> None:
    with pytest.raises(PeerError):
        depayload(payload)


@pytest.mark.parametrize(
    "payloads",
    [
        [b"\x90" + INTER],  # goes on, but nothing began
        [b"\x50" + INTER],  # begins, but does not go on
        [b"\x50" + INTER, b"\x10" + INTER],
        [b"\x10\xb0\x00"],  # the forbidden bit
        [b"\x10\x32\x07\x00"],  # its own size is larger
        [b"\x10\x32\x00\x00"],  # its own size is smaller
        [b"\x10\x34"],  # its extension is cut off
    ],
)
def test_frames_that_do_not_fit_together_are_the_peers_fault(payloads: list[bytes]) -> None:
    with pytest.raises(PeerError):
        rebuilt(payloads)


@given(st.lists(st.binary(max_size=64), max_size=6))
def test_hostile_payloads_raise_nothing_else_and_grow_by_their_sizes_at_most(
    payloads: list[bytes],
) -> None:
    parts = []
    for payload in payloads:
        with contextlib.suppress(PeerError):
            parts.append(depayload(payload).data)
    with contextlib.suppress(PeerError):
        assert len(assemble(b"".join(parts))) <= 2 + 2 * sum(map(len, payloads))


@given(st.data())
def test_damaged_truncated_reordered_and_repeated_packets_raise_nothing_else(
    data: st.DataObject,
) -> None:
    payloads = packetize(unit_of(obu(1, SEQUENCE[1:]), obu(6, KEY[1:] * 9)), max_payload_bytes=60)
    payloads = data.draw(st.lists(st.sampled_from(payloads), max_size=8))
    if payloads:
        victim = bytearray(payloads[0])
        victim[data.draw(st.integers(0, len(victim) - 1))] = data.draw(st.integers(0, 255))
        payloads[0] = bytes(victim)[: data.draw(st.integers(0, len(victim)))]
    with contextlib.suppress(PeerError):
        rebuilt(payloads)


def test_the_jitter_buffer_makes_frames_of_packets_in_any_order() -> None:
    units = real_units(3)
    packets = [
        MediaPacket(
            ssrc=1,
            sequence_number=0,
            timestamp=index * INTERVAL,
            ends_frame=payload is payloads[-1],
            part=depayload(payload),
            arrived_ms=0.0,
        )
        for index, unit in enumerate(units)
        for payloads in [packetize(unit, max_payload_bytes=400)]
        for payload in payloads
    ]
    numbered = [
        MediaPacket(
            ssrc=packet.ssrc,
            sequence_number=number,
            timestamp=packet.timestamp,
            ends_frame=packet.ends_frame,
            part=packet.part,
            arrived_ms=packet.arrived_ms,
        )
        for number, packet in enumerate(packets)
    ]
    swapped = list(
        itertools.chain.from_iterable(
            reversed(numbered[start : start + 3]) for start in range(0, len(numbered), 3)
        )
    )
    buffer = JitterBuffer(clock_hz=90_000)
    frames = [frame for packet in swapped for frame in buffer.add(packet).frames]
    assert [assemble(frame.data) for frame in frames] == units
    assert [frame.is_keyframe for frame in frames] == [True, False, False]


@given(st.integers(0, 2**40))
def test_sizes_survive_their_coding(value: int) -> None:
    coded = write_leb128(value)
    assert read_leb128(coded) == (value, len(coded))
