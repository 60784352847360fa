"""VP8 in RTP (RFC 7741), without I/O."""

from __future__ import annotations

from stream.errors import PeerError
from stream.jitter_buffer import PayloadPart

_EXTENDED, _STARTS_PARTITION = 0x80, 0x10
_HAS_PICTURE_ID, _HAS_TL0PICIDX, _HAS_TID_OR_KEYIDX = 0x80, 0x40, 0x30
_PICTURE_IDS = 1 << 15


def packetize(frame: bytes, *, picture_id: int, max_payload_bytes: int = 1200) -> list[bytes]:
    """RTP payloads, none longer than `max_payload_bytes`, of one VP8 frame."""
    extension = bytes([_HAS_PICTURE_ID]) + (_PICTURE_IDS | picture_id % _PICTURE_IDS).to_bytes(
        2, "big"
    )
    step = max_payload_bytes - 1 - len(extension)
    return [
        bytes([_EXTENDED | (0 if start else _STARTS_PARTITION)])
        + extension
        + frame[start : start + step]
        for start in range(0, len(frame), step)
    ]


def depayload(payload: bytes) -> PayloadPart:
    """The VP8 bytes in one RTP payload. Raises PeerError when the descriptor is truncated."""
    size = _descriptor_bytes(payload)
    data = payload[size:]
    starts_frame = payload[0] & (_STARTS_PARTITION | 0x07) == _STARTS_PARTITION
    # RFC 6386 section 9.1: the lowest bit of the frame tag is 0 for a keyframe.
    is_keyframe = starts_frame and not data[0] & 0x01
    return PayloadPart(data=data, starts_frame=starts_frame, is_keyframe=is_keyframe)


def _descriptor_bytes(payload: bytes) -> int:
    """Length of the payload descriptor (RFC 7741 section 4.2), with data behind it."""
    try:
        size = 1
        if payload[0] & _EXTENDED:
            flags = payload[1]
            size = 2
            if flags & _HAS_PICTURE_ID:
                size += 2 if payload[size] & 0x80 else 1
            size += bool(flags & _HAS_TL0PICIDX) + bool(flags & _HAS_TID_OR_KEYIDX)
    except IndexError:
        size = len(payload)
    if size >= len(payload):
        raise PeerError(f"VP8 payload of {len(payload)} bytes is truncated")
    return size
