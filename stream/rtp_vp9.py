"""VP9 in RTP (RFC 9628), receiving only, without I/O."""

from __future__ import annotations

from stream.errors import PeerError
from stream.jitter_buffer import PayloadPart

_HAS_PICTURE_ID, _IS_PREDICTED, _HAS_LAYERS, _IS_FLEXIBLE = 0x80, 0x40, 0x20, 0x10
_STARTS_FRAME, _HAS_STRUCTURE = 0x08, 0x02
_MOST_REFERENCES = 3


def depayload(payload: bytes) -> PayloadPart:
    """The VP9 bytes in one RTP payload. Raises PeerError when the descriptor is truncated."""
    try:
        size, spatial_layer = _descriptor(payload)
    except IndexError:
        size, spatial_layer = len(payload), 0
    if size >= len(payload):
        raise PeerError(f"VP9 payload of {len(payload)} bytes is truncated")
    starts_frame = bool(payload[0] & _STARTS_FRAME) and spatial_layer == 0
    return PayloadPart(
        data=payload[size:],
        starts_frame=starts_frame,
        is_keyframe=starts_frame and not payload[0] & _IS_PREDICTED,
    )


def _descriptor(payload: bytes) -> tuple[int, int]:
    """Length of the payload descriptor (section 4.2) and the spatial layer. IndexError: cut off."""
    flags, size, spatial_layer = payload[0], 1, 0
    if flags & _HAS_PICTURE_ID:
        size += 2 if payload[size] & 0x80 else 1
    if flags & _HAS_LAYERS:
        spatial_layer = payload[size] >> 1 & 0x07
        size += 1 if flags & _IS_FLEXIBLE else 2
    if flags & _IS_FLEXIBLE and flags & _IS_PREDICTED:
        for _ in range(_MOST_REFERENCES):
            size += 1
            if not payload[size - 1] & 0x01:
                break
    if flags & _HAS_STRUCTURE:
        structure = payload[size]
        size += 1
        if structure & 0x10:  # sizes of the spatial layers
            size += 4 * ((structure >> 5) + 1)
        if structure & 0x08:  # a group of pictures
            pictures = payload[size]
            size += 1
            for _ in range(pictures):
                size += 1 + (payload[size] >> 2 & 0x03)
    return size, spatial_layer
