"""AV1 open bitstream units (OBUs): headers, sizes, and how a temporal unit is made of them. Pure.

AV1 Bitstream & Decoding Process Specification, sections 4.10.5 and 5.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from stream.errors import PeerError

MAX_LEB128_BYTES = 8

TEMPORAL_DELIMITER = b"\x12\x00"
"""With its (empty) size, as it begins each temporal unit of a file."""

_EXTENSION_FLAG, _HAS_SIZE_FLAG = 0x04, 0x02


class ObuType(IntEnum):
    """obu_type (section 6.2.2); others are reserved."""

    SEQUENCE_HEADER = 1
    TEMPORAL_DELIMITER = 2
    FRAME_HEADER = 3
    TILE_GROUP = 4
    METADATA = 5
    FRAME = 6
    REDUNDANT_FRAME_HEADER = 7
    TILE_LIST = 8
    PADDING = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Obu:
    """One unit. header: its one or two bytes, as they came; payload: what follows header and size.

    kind: an `ObuType`, or the number of a reserved one.
    """

    header: bytes
    payload: bytes

    @property
    def kind(self) -> int:
        """obu_type."""
        return obu_kind(self.header[0])

    @property
    def temporal_id(self) -> int:
        """Temporal layer; 0 without extension."""
        return self.header[1] >> 5 if len(self.header) > 1 else 0

    @property
    def spatial_id(self) -> int:
        """Spatial layer; 0 without extension."""
        return self.header[1] >> 3 & 3 if len(self.header) > 1 else 0

    def with_size(self) -> bytes:
        """As in a file: obu_has_size_field set, the size between header and payload."""
        header = bytes([self.header[0] | _HAS_SIZE_FLAG]) + self.header[1:]
        return header + write_leb128(len(self.payload)) + self.payload

    def without_size(self) -> bytes:
        """As RTP carries it: whoever reads it knows where it ends."""
        header = bytes([self.header[0] & ~_HAS_SIZE_FLAG]) + self.header[1:]
        return header + self.payload


def obu_kind(first_byte: int) -> int:
    """obu_type of a unit whose header begins with this byte."""
    return first_byte >> 3 & 0x0F


def read_leb128(data: bytes, position: int = 0) -> tuple[int, int]:
    """An unsigned LEB128 number and the position after it. Raises PeerError when it is cut off."""
    value = 0
    for index in range(MAX_LEB128_BYTES):
        if position + index >= len(data):
            raise PeerError("AV1: a size is cut off")
        byte = data[position + index]
        value |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return value, position + index + 1
    raise PeerError(f"AV1: a size is longer than {MAX_LEB128_BYTES} bytes")


def write_leb128(value: int) -> bytes:
    """The shortest LEB128 form of a number from 0 on."""
    coded = bytearray()
    while value >= 0x80:
        coded.append(value & 0x7F | 0x80)
        value >>= 7
    coded.append(value)
    return bytes(coded)


def parse_obu(data: bytes) -> Obu:
    """A unit that fills `data`, with or without a size field.

    Raises PeerError when it is empty, cut off, followed by something else, or not an OBU.
    """
    obu, end = _read_obu(data, 0, has_end=True)
    if end != len(data):
        raise PeerError(f"AV1: {len(data) - end} bytes follow an OBU inside its element")
    return obu


def split_temporal_unit(temporal_unit: bytes) -> Iterator[Obu]:
    """The units of a temporal unit, each with its size (section 5.2).

    Raises PeerError, after the units before it, at the first one that does not parse.
    """
    position = 0
    while position < len(temporal_unit):
        obu, position = _read_obu(temporal_unit, position, has_end=False)
        yield obu


def _read_obu(data: bytes, start: int, *, has_end: bool) -> tuple[Obu, int]:
    """A unit and the position after it; without a size it ends with the data if `has_end`."""
    if start >= len(data):
        raise PeerError("AV1: an OBU is empty")
    first = data[start]
    if first & 0x80:
        raise PeerError(f"AV1: {first:#04x} is no OBU header (its first bit must be 0)")
    position = start + (2 if first & _EXTENSION_FLAG else 1)
    if position > len(data):
        raise PeerError("AV1: an OBU header is cut off")
    header = data[start:position]
    if first & _HAS_SIZE_FLAG:
        size, position = read_leb128(data, position)
    elif has_end:
        size = len(data) - position
    else:
        raise PeerError("AV1: an OBU in a temporal unit has no size")
    if size > len(data) - position:
        raise PeerError(f"AV1: an OBU of {size} bytes has only {len(data) - position}")
    return Obu(header=header, payload=data[position : position + size]), position + size
