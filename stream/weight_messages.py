"""What is said on the data channel that carries weight deltas (`stream.weight_delta`). Pure.

The channel is called `edvr-weights`, opened by the publisher, reliable and ordered. Its messages
are binary, numbers little-endian:

    publisher -> receiver   1, version, number u32, index u16, count u16, then a piece of a delta
    receiver -> publisher   2, version: send a state, what is there cannot be continued
    receiver -> publisher   3, version, SHA-256 of the model that it restores with: 32 bytes
    receiver -> publisher   4, version, digest: this delta will never be of use here

Publishers let messages pass that they do not know; receivers refuse them. A receiver that takes no
weights at all closes the channel.

A delta travels in `count` pieces with the same number, one after another, so that the publisher can
spread them over the time that its bit budget asks for. Each fits into one packet.
"""

from __future__ import annotations

import struct

from stream.errors import DeltaRefused
from stream.weight_delta import DeltaLimits
from stream.weight_delta_head import DIGEST_BYTES

CHANNEL = "edvr-weights"
VERSION = 1
LIVE_LIMITS = DeltaLimits(max_bytes=1 << 19)
"""Of a delta that comes beside the pictures: half a minute of a 150 kb/s stream."""

PIECE_BYTES = 1100
"""An SCTP packet of aiortc carries 1172 bytes."""

_PIECE, _WANT_STATE, _RESTORES_WITH, _USELESS = 1, 2, 3, 4
_HEAD = struct.Struct("<BBIHH")
_MODEL = struct.Struct(f"<BB{DIGEST_BYTES}s")

WANT_STATE = bytes((_WANT_STATE, VERSION))


def useless(digest: str) -> bytes:
    """The message that says that the delta with this digest will never be of use."""
    return bytes((_USELESS, VERSION)) + bytes.fromhex(digest)


def useless_digest(message: object) -> str | None:
    """Of the delta that this message from a receiver says is of no use; None for others."""
    if not isinstance(message, bytes) or len(message) != 2 + DIGEST_BYTES:
        return None
    return message[2:].hex() if message[:2] == bytes((_USELESS, VERSION)) else None


def is_state_wanted(message: object) -> bool:
    """Whether this message from a receiver asks for a state; others mean nothing to us."""
    return message == WANT_STATE


def restores_with(base_sha256: str) -> bytes:
    """The message of a receiver that takes weights for this model (64 hexadecimal digits)."""
    return _MODEL.pack(_RESTORES_WITH, VERSION, bytes.fromhex(base_sha256))


def model_told(message: object) -> str | None:
    """The model that a receiver says it restores with; None for all other messages."""
    if not isinstance(message, bytes) or len(message) != _MODEL.size:
        return None
    kind, version, digest = _MODEL.unpack(message)
    return digest.hex() if (kind, version) == (_RESTORES_WITH, VERSION) else None


def pieces_of(delta: bytes, number: int) -> list[bytes]:
    """The messages that carry a delta. number: any that the one before did not have."""
    parts = [delta[start : start + PIECE_BYTES] for start in range(0, len(delta), PIECE_BYTES)]
    return [
        _HEAD.pack(_PIECE, VERSION, number & 0xFFFFFFFF, index, len(parts)) + part
        for index, part in enumerate(parts)
    ]


class DeltaAssembler:
    """Puts deltas together from their pieces; holds one at a time, within the limits."""

    def __init__(self, limits: DeltaLimits = LIVE_LIMITS) -> None:
        self._max_bytes = limits.max_bytes
        self._number, self._count = 0, 0
        self._parts: list[bytes] = []

    def push(self, message: object) -> bytes | None:
        """Take a message; a delta when it is complete.

        Raises DeltaRefused for what does not fit; what was collected so far is then dropped.
        """
        try:
            return self._push(message)
        except DeltaRefused:
            self._forget()
            raise

    def _push(self, message: object) -> bytes | None:
        if not isinstance(message, bytes) or len(message) <= _HEAD.size:
            raise DeltaRefused("a message on the channel of weights is not a piece of a delta")
        kind, version, number, index, count = _HEAD.unpack_from(message)
        part = message[_HEAD.size :]
        if kind != _PIECE or version != VERSION:
            raise DeltaRefused(f"a message of kind {kind}, version {version} is not known here")
        if len(part) > PIECE_BYTES or count * PIECE_BYTES >= self._max_bytes + PIECE_BYTES:
            raise DeltaRefused(f"the weights are larger than {self._max_bytes} bytes")
        if index == 0:
            self._forget()
            self._number, self._count = number, count
        if (number, count, index) != (self._number, self._count, len(self._parts)):
            raise DeltaRefused("a piece of the weights is missing")
        if index >= count:
            raise DeltaRefused("a delta has more pieces than it said")
        self._parts.append(part)
        if len(self._parts) < count:
            return None
        delta = b"".join(self._parts)
        self._forget()
        return delta

    def _forget(self) -> None:
        self._parts, self._count = [], 0
