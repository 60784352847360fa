"""The head of a weight delta: which model, stream, moment and scene it belongs to. Pure.

    magic "EDVW", version, kind      4 + 1 + 1 bytes; kind 0: a state, 1: a step
    base                             SHA-256 of the model artefact that the weights belong to
    layout                           digest of that model's adaptable weights: names and shapes
    parent                           digest of the delta that a step follows; zeros for a state
    sequence, valid from             u32, and the pts of the first frame it is meant for
    tensors                          how many follow
    scene                            version 2 alone: number u8, how many signatures u8, and those

A delta for all scenes is of version 1, which every receiver reads; one for a scene is of version 2,
which receivers that know no scenes refuse, and so show other scenes as they did before. The
checksum at the end of a delta covers its head; `stream.weight_delta` describes what follows it.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace

from stream.errors import DeltaRefused
from stream.scene_signature import MAX_SIGNATURES, SIGNATURE_BYTES, Scene, Signature

PLAIN_VERSION, SCENE_VERSION = 1, 2
MAGIC = b"EDVW"
DIGEST_BYTES = 32
LAYOUT_BYTES = 8
_HEAD = struct.Struct(f"<4sBB{DIGEST_BYTES}s{LAYOUT_BYTES}s{DIGEST_BYTES}sIqH")
_SCENE = struct.Struct("<BB")
_NO_PTS = -(1 << 63)
_NO_PARENT = bytes(DIGEST_BYTES)
_MAX_PTS = 1 << 62
_MAX_SEQUENCE = (1 << 32) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaHeader:
    """What a delta belongs to.

    base_sha256: of the model artefact, 64 hexadecimal digits.
    sequence: counts a stream's deltas, from 0.
    parent: digest of the delta that a step follows, 64 digits; None for a state.
    valid_from_pts: the first frame it is meant for, in 1/90000 s of the stream; None for any.
    scene: that it is for; None for all.

    Raises ValueError for what cannot be written.
    """

    base_sha256: str
    sequence: int = 0
    parent: str | None = None
    valid_from_pts: int | None = None
    scene: Scene | None = None

    def __post_init__(self) -> None:
        for digest in (self.base_sha256, self.parent):
            if digest is not None and len(bytes.fromhex(digest)) != DIGEST_BYTES:
                raise ValueError(f"{digest!r} is not a SHA-256")
        if self.parent is not None and bytes.fromhex(self.parent) == _NO_PARENT:
            raise ValueError("no delta has a digest of zeros")
        if not 0 <= self.sequence <= _MAX_SEQUENCE:
            raise ValueError(f"sequence {self.sequence} does not fit 32 bits")
        if self.valid_from_pts is not None and abs(self.valid_from_pts) > _MAX_PTS:
            raise ValueError(f"pts {self.valid_from_pts} is out of range")

    @property
    def is_state(self) -> bool:
        """Whether it stands alone."""
        return self.parent is None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaHead:
    """layout: digest of the names and shapes; tensors: how many; size: bytes of the head."""

    header: DeltaHeader
    layout: bytes
    tensors: int
    size: int


def pack_head(header: DeltaHeader, *, layout: bytes, tensors: int) -> bytes:
    """The bytes that `read_head` reads."""
    scene = header.scene
    head = _HEAD.pack(
        MAGIC,
        PLAIN_VERSION if scene is None else SCENE_VERSION,
        0 if header.is_state else 1,
        bytes.fromhex(header.base_sha256),
        layout,
        _NO_PARENT if header.parent is None else bytes.fromhex(header.parent),
        header.sequence,
        _NO_PTS if header.valid_from_pts is None else header.valid_from_pts,
        tensors,
    )
    if scene is not None:
        head += _SCENE.pack(scene.number, len(scene.signatures))
        head += b"".join(signature.data for signature in scene.signatures)
    return head


def read_head(data: bytes, *, max_bytes: int) -> DeltaHead:
    """The head of a container whose checksum is right. Raises DeltaRefused."""
    if len(data) > max_bytes:
        raise DeltaRefused(f"the weights are larger than {max_bytes} bytes")
    if len(data) < _HEAD.size + DIGEST_BYTES or data[:4] != MAGIC:
        raise DeltaRefused("this is not a weight delta")
    if data[4] not in (PLAIN_VERSION, SCENE_VERSION):
        raise DeltaRefused(
            f"the weights are of version {data[4]}, this program reads up to {SCENE_VERSION}"
        )
    if hashlib.sha256(data[:-DIGEST_BYTES]).digest() != data[-DIGEST_BYTES:]:
        raise DeltaRefused("the weights are damaged: their checksum is wrong")
    _, version, kind, base, layout, parent, sequence, pts, count = _HEAD.unpack_from(data)
    if kind not in (0, 1) or (kind == 0) != (parent == _NO_PARENT):
        raise DeltaRefused("the weights are neither a state nor a step")
    scene, size = _read_scene(data) if version == SCENE_VERSION else (None, _HEAD.size)
    try:
        header = DeltaHeader(
            base_sha256=base.hex(),
            sequence=sequence,
            parent=parent.hex() if kind else None,
            valid_from_pts=None if pts == _NO_PTS else pts,
            scene=scene,
        )
    except ValueError as error:
        raise DeltaRefused(f"the weights are not for a stream: {error}") from error
    return DeltaHead(header=header, layout=layout, tensors=count, size=size)


def readdressed(data: bytes, *, sequence: int, scene: Scene | None, max_bytes: int) -> bytes:
    """A state with another place in a stream, and the same weights; its digest becomes another.

    Raises DeltaRefused when `data` is not sound, or is a step, which follows another delta.
    """
    head = read_head(data, max_bytes=max_bytes)
    if not head.header.is_state:
        raise DeltaRefused("the weights do not stand alone")
    header = replace(head.header, sequence=sequence, scene=scene, valid_from_pts=None)
    body = pack_head(header, layout=head.layout, tensors=head.tensors)
    body += data[head.size : -DIGEST_BYTES]
    return body + hashlib.sha256(body).digest()


def _read_scene(data: bytes) -> tuple[Scene, int]:
    """The scene, and where the head ends."""
    start = _HEAD.size + _SCENE.size
    if start > len(data) - DIGEST_BYTES:
        raise DeltaRefused("the weights are cut off")
    number, count = _SCENE.unpack_from(data, _HEAD.size)
    end = start + count * SIGNATURE_BYTES
    if count > MAX_SIGNATURES or end > len(data) - DIGEST_BYTES:
        raise DeltaRefused("the weights are cut off, or have too many signatures of a scene")
    places = range(start, end, SIGNATURE_BYTES)
    signatures = tuple(Signature(data[at : at + SIGNATURE_BYTES]) for at in places)
    return Scene(number=number, signatures=signatures), end
