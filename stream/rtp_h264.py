"""H.264 in RTP (RFC 6184), packetisation mode 1, without I/O."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from stream.errors import PeerError
from stream.jitter_buffer import PayloadPart

MAX_PAYLOAD_BYTES = 1200
"""Leaves room for RTP, SRTP, UDP and IPv6 headers in the 1280-byte minimum MTU (RFC 8200)."""

_START_CODE = b"\x00\x00\x00\x01"
_SLICE, _IDR, _SPS, _AUD, _STAP_A, _FU_A = 1, 5, 7, 9, 24, 28
_FU_START, _FU_END = 0x80, 0x40


def split_access_unit(access_unit: bytes) -> list[bytes]:
    """The NAL units of an Annex B byte stream (ITU-T H.264 annex B), without start codes."""
    starts: list[int] = []
    position = access_unit.find(b"\x00\x00\x01")
    while position >= 0:
        starts.append(position + 3)
        position = access_unit.find(b"\x00\x00\x01", position + 3)
    starts.append(len(access_unit) + 3)
    units = (access_unit[start : end - 3].rstrip(b"\x00") for start, end in pairwise(starts))
    return [unit for unit in units if unit]


def packetize(access_unit: bytes, *, max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> list[bytes]:
    """RTP payloads, none longer than `max_payload_bytes`, of an Annex B access unit.

    Small neighbours share a STAP-A, large NAL units become FU-A fragments of nearly equal size.
    """
    payloads: list[bytes] = []
    group: list[bytes] = []
    for unit in split_access_unit(access_unit):
        if group and _stap_a_bytes([*group, unit]) > max_payload_bytes:
            payloads.append(_aggregate(group))
            group = []
        if len(unit) > max_payload_bytes:
            payloads.extend(_fragment(unit, max_payload_bytes))
        else:
            group.append(unit)
    if group:
        payloads.append(_aggregate(group))
    return payloads


def depayload(payload: bytes) -> PayloadPart:
    """The Annex B bytes in one RTP payload. Raises PeerError when it is truncated or unknown."""
    if len(payload) < 2:
        raise PeerError(f"H.264 payload of {len(payload)} bytes is too short")
    kind = payload[0] & 0x1F
    if 1 <= kind <= 23:
        return _part([payload])
    if kind == _STAP_A:
        return _part(list(_aggregated_units(payload)))
    if kind == _FU_A:
        return _fragment_part(payload)
    raise PeerError(f"H.264 payload type {kind} is not part of packetisation mode 1")


def _stap_a_bytes(units: list[bytes]) -> int:
    return 1 + sum(2 + len(unit) for unit in units)


def _aggregate(units: list[bytes]) -> bytes:
    if len(units) == 1:
        return units[0]
    importance = max(unit[0] & 0x60 for unit in units)  # RFC 6184 section 5.7.1
    body = b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)
    return bytes([importance | _STAP_A]) + body


def _fragment(unit: bytes, max_payload_bytes: int) -> Iterator[bytes]:
    indicator, kind, body = unit[0] & 0xE0 | _FU_A, unit[0] & 0x1F, unit[1:]
    count = -(-len(body) // (max_payload_bytes - 2))
    for index in range(count):
        start, end = len(body) * index // count, len(body) * (index + 1) // count
        flags = (_FU_START if index == 0 else 0) | (_FU_END if index == count - 1 else 0)
        yield bytes([indicator, flags | kind]) + body[start:end]


def _aggregated_units(payload: bytes) -> Iterator[bytes]:
    position = 1
    while position < len(payload):
        size = int.from_bytes(payload[position : position + 2], "big")
        unit = payload[position + 2 : position + 2 + size]
        if not size or len(unit) < size:
            raise PeerError("H.264 aggregation packet is truncated")
        yield unit
        position += 2 + size


def _part(units: list[bytes]) -> PayloadPart:
    if not units:
        raise PeerError("H.264 aggregation packet is empty")
    return PayloadPart(
        data=b"".join(_START_CODE + unit for unit in units),
        starts_frame=_starts_frame(units[0]),
        is_keyframe=any(unit[0] & 0x1F in (_IDR, _SPS) for unit in units),
    )


def _fragment_part(payload: bytes) -> PayloadPart:
    kind = payload[1] & 0x1F
    if not payload[1] & _FU_START:
        return PayloadPart(data=payload[2:], starts_frame=False, is_keyframe=kind == _IDR)
    unit = bytes([payload[0] & 0xE0 | kind]) + payload[2:]
    return _part([unit])


def _starts_frame(unit: bytes) -> bool:
    """Whether nothing that the frame needs can come before this NAL unit.

    A slice starts its picture when first_mb_in_slice is 0, coded as a single 1 bit. Before an IDR
    slice there may be a parameter set, so only that (or a delimiter) starts a keyframe.
    """
    kind = unit[0] & 0x1F
    return kind in (_SPS, _AUD) or (kind == _SLICE and len(unit) > 1 and unit[1] >= 0x80)
