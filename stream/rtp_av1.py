"""AV1 in RTP (AOM, "RTP Payload Format For AV1", version 1.0), without I/O.

A payload is an aggregation header (`ZYWWN---`) and OBU elements: whole OBUs, or the parts of one
that goes on in the next packet. So unlike other formats a frame is not the payloads in a row;
`depayload` marks where each one ends, and `assemble` makes a temporal unit of those of one frame.
"""

from __future__ import annotations

from collections.abc import Iterator

from stream.errors import PeerError
from stream.jitter_buffer import PayloadPart
from stream.obu import (
    TEMPORAL_DELIMITER,
    ObuType,
    obu_kind,
    parse_obu,
    read_leb128,
    split_temporal_unit,
    write_leb128,
)
from stream.rtp_h264 import MAX_PAYLOAD_BYTES

_CONTINUES, _CONTINUED, _STARTS_SEQUENCE = 0x80, 0x40, 0x08  # Z, Y, N
_COUNT_SHIFT, _MOST_COUNTED = 4, 3  # W
_LENGTH_BYTES = 2  # of a payload between `depayload` and `assemble`

_NOT_SENT = (ObuType.TEMPORAL_DELIMITER, ObuType.TILE_LIST, ObuType.PADDING)
"""What a sender removes and a receiver ignores (section 5)."""

_SHOWS_EXISTING, _FRAME_TYPE = 0x80, 0x60  # first byte of a frame header


def packetize(temporal_unit: bytes, *, max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> list[bytes]:
    """RTP payloads, none longer than `max_payload_bytes`, of a temporal unit of OBUs with sizes.

    They are of nearly equal size. Raises PeerError when the unit does not parse.
    """
    obus = [obu for obu in split_temporal_unit(temporal_unit) if obu.kind not in _NOT_SENT]
    elements = [obu.without_size() for obu in obus]
    total = sum(len(element) + _LENGTH_BYTES for element in elements)
    if not total:
        return []
    count = -(-total // (max_payload_bytes - 1))
    payloads: list[bytes] = []
    parts: list[bytes] = []
    continues = False  # the packet being filled begins inside an OBU
    for element in elements:
        position = 0
        while position < len(element):
            room = -(-total // count) - sum(len(part) + _LENGTH_BYTES for part in parts)
            room = min(room, max_payload_bytes - 1 - _length(parts))
            if parts and (room < _LENGTH_BYTES or len(parts) == _MOST_COUNTED):
                payloads.append(_payload(parts, continues=continues, continued=position > 0))
                continues, parts = position > 0, []
                continue
            parts.append(element[position : position + max(room, _LENGTH_BYTES)])
            position += len(parts[-1])
    payloads.append(_payload(parts, continues=continues, continued=False))
    if any(obu.kind == ObuType.SEQUENCE_HEADER for obu in obus):
        payloads[0] = bytes([payloads[0][0] | _STARTS_SEQUENCE]) + payloads[0][1:]
    return payloads


def depayload(payload: bytes) -> PayloadPart:
    """One RTP payload, with its length before it, for `assemble`.

    Raises PeerError when its elements do not fill it.
    """
    elements = _elements(payload)
    continues = bool(payload[0] & _CONTINUES)
    starts_sequence = bool(payload[0] & _STARTS_SEQUENCE) and not continues
    heads = elements[continues:]
    kinds = [obu_kind(head[0]) for head in heads]
    is_key = [_is_key_frame(head) for head in heads]
    starts_frame = not continues and (
        starts_sequence
        or kinds[0] in (ObuType.SEQUENCE_HEADER, ObuType.TEMPORAL_DELIMITER)
        # Before a keyframe there is a sequence header, perhaps in a packet of its own.
        or (kinds[0] in (ObuType.FRAME, ObuType.FRAME_HEADER) and not is_key[0])
    )
    return PayloadPart(
        data=len(payload).to_bytes(_LENGTH_BYTES, "big") + payload,
        starts_frame=starts_frame,
        is_keyframe=starts_sequence or ObuType.SEQUENCE_HEADER in kinds or any(is_key),
    )


def assemble(parts: bytes) -> bytes:
    """The temporal unit of one frame: its `PayloadPart.data` in a row, as the jitter buffer joins.

    Raises PeerError when an OBU is incomplete or malformed. What comes out is hardly larger than
    what goes in: a size field for each OBU.
    """
    unit = [TEMPORAL_DELIMITER]
    pending: list[bytes] = []
    for payload in _payloads(parts):
        elements = _elements(payload)
        if bool(payload[0] & _CONTINUES) != bool(pending):
            raise PeerError("AV1: a packet does not go on where the one before ends")
        for index, element in enumerate(elements):
            pending.append(element)
            if index + 1 < len(elements) or not payload[0] & _CONTINUED:
                obu = parse_obu(b"".join(pending))
                pending = []
                if obu.kind not in _NOT_SENT:
                    unit.append(obu.with_size())
    if pending:
        raise PeerError("AV1: the last OBU of a frame is incomplete")
    return b"".join(unit)


def _payload(parts: list[bytes], *, continues: bool, continued: bool) -> bytes:
    header = len(parts) << _COUNT_SHIFT
    header |= (_CONTINUES if continues else 0) | (_CONTINUED if continued else 0)
    lengths = [write_leb128(len(part)) + part for part in parts[:-1]]
    return bytes([header]) + b"".join(lengths) + parts[-1]


def _length(parts: list[bytes]) -> int:
    """Bytes of these parts when another one follows them."""
    return sum(len(write_leb128(len(part))) + len(part) for part in parts)


def _elements(payload: bytes) -> list[bytes]:
    """The OBU elements of a payload, at least one, none empty."""
    if not payload:
        raise PeerError("AV1: an RTP payload is empty")
    if payload[0] & _CONTINUES and payload[0] & _STARTS_SEQUENCE:
        raise PeerError("AV1: a coded video sequence cannot start inside an OBU")
    count = payload[0] >> _COUNT_SHIFT & _MOST_COUNTED
    elements: list[bytes] = []
    position = 1
    while position < len(payload):
        size = len(payload) - position
        if count == 0 or len(elements) + 1 < count:
            size, position = read_leb128(payload, position)
        element = payload[position : position + size]
        if not element or len(element) < size:
            raise PeerError("AV1: an OBU element is cut off or empty")
        elements.append(element)
        position += size
    if not elements or len(elements) < count:
        raise PeerError(f"AV1: {len(elements)} OBU elements in a payload that announces {count}")
    return elements


def _payloads(parts: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(parts):
        size = int.from_bytes(parts[position : position + _LENGTH_BYTES], "big")
        position += _LENGTH_BYTES
        if not 0 < size <= len(parts) - position:
            raise PeerError("AV1: a packet is cut off")
        yield parts[position : position + size]
        position += size


def _is_key_frame(element: bytes) -> bool:
    """Whether an element is the start of a frame OBU that says it is a keyframe."""
    if obu_kind(element[0]) not in (ObuType.FRAME, ObuType.FRAME_HEADER):
        return False
    position = 2 if element[0] & 0x04 else 1
    if element[0] & 0x02:
        _, position = read_leb128(element, position)
    return position < len(element) and element[position] & (_SHOWS_EXISTING | _FRAME_TYPE) == 0
