"""Weight deltas of a small made-up model, and what can be done to them on the way."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

import numpy as np

from stream.profile_file import ProfileInfo, encode_profile
from stream.scene_signature import SIGNATURE_BYTES, Scene, Signature
from stream.weight_delta import DeltaHeader, QuantisedTensor, encode_delta

SHAPES = {
    "extract.conv.weight": (4, 3, 3, 3),
    "extract.conv.bias": (4,),
    "fuse.conv.weight": (6, 4, 3, 3),
    "fuse.conv.bias": (6,),
    "fuse.mix.weight": (),
}
BASE = hashlib.sha256(b"a model").hexdigest()
TENSORS_AT = 4 + 2 + 32 + 8 + 32 + 4 + 8
"""Where a container says how many tensors it has; a table of 7 bytes each follows."""


def quantised(
    shapes: dict[str, tuple[int, ...]] | None = None, *, seed: int = 0, bits: int = 3
) -> dict[str, QuantisedTensor]:
    """Random changes of all tensors."""
    rng = np.random.default_rng(seed)
    top = (1 << (bits - 1)) - 1
    tensors = {}
    for name, shape in (SHAPES if shapes is None else shapes).items():
        values = np.array(np.clip(rng.laplace(0, 0.6, shape).round(), -top, top), np.int16)
        values.flat[0] = top  # so that none is left out
        tensors[name] = QuantisedTensor(values=values, scale=0.004, bits=bits)
    return tensors


def state(sequence: int = 0, *, seed: int = 0, valid_from_pts: int | None = None) -> bytes:
    """A state of the made-up model."""
    header = DeltaHeader(base_sha256=BASE, sequence=sequence, valid_from_pts=valid_from_pts)
    return encode_delta(header, quantised(seed=seed), expected_shapes=SHAPES)


def scene_state(sequence: int = 0, *, number: int = 3, seed: int = 0, looks: int = 2) -> bytes:
    """A state for one scene of the stream."""
    data = (np.random.default_rng(look).bytes(SIGNATURE_BYTES) for look in range(looks))
    scene = Scene(number=number, signatures=tuple(map(Signature, data)))
    header = DeltaHeader(base_sha256=BASE, sequence=sequence, scene=scene)
    return encode_delta(header, quantised(seed=seed), expected_shapes=SHAPES)


def step(sequence: int, parent: str, *, seed: int = 1) -> bytes:
    """A step that follows `parent`."""
    header = DeltaHeader(base_sha256=BASE, sequence=sequence, parent=parent)
    return encode_delta(header, quantised(seed=seed), expected_shapes=SHAPES)


def profile_of(delta: bytes) -> bytes:
    """The file of a profile with this state."""
    info = ProfileInfo(
        name="Evening news",
        base_model="live-xs-x2",
        base_version="2",
        trained_on="last week",
        licence="CC0-1.0",
        gains={},
    )
    return encode_profile(info, delta)


def sealed(body: bytes) -> bytes:
    """`body` with a right checksum, as somebody malicious would make it."""
    return body + hashlib.sha256(body).digest()


def with_scale(data: bytes, scale: float, *, tensor: int = 0) -> bytes:
    """`data` with another scale of one tensor, and a right checksum."""
    body = bytearray(data[:-32])
    struct.pack_into("<f", body, TENSORS_AT + 2 + 7 * tensor + 3, scale)
    return sealed(bytes(body))


def damaged(data: bytes, *, count: int, seed: int) -> Iterator[bytes]:
    """Different from `data` in every way that a network or a malicious sender may choose."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        body = bytearray(data)
        match index % 6:
            case 0:  # cut off
                yield bytes(body[: rng.integers(len(body))])
            case 1:  # a bit
                body[rng.integers(len(body))] ^= 1 << int(rng.integers(8))
                yield bytes(body)
            case 2:  # a bit, with the checksum made right
                body[rng.integers(len(body) - 32)] ^= 1 << int(rng.integers(8))
                yield sealed(bytes(body[:-32]))
            case 3:  # several bytes of the head and the table, with the checksum made right
                for place in rng.integers(0, TENSORS_AT + 2 + 35, 4):
                    body[place] = rng.integers(256)
                yield sealed(bytes(body[:-32]))
            case 4:  # not finite, not positive, or far too large
                scale = (float("nan"), float("inf"), -1.0, 0.0, 1e30, 1.5)[int(rng.integers(6))]
                yield with_scale(data, scale, tensor=int(rng.integers(4)))
            case _:  # cut off or made longer, with the checksum made right
                end = int(rng.integers(len(body)))
                yield sealed(bytes(body[:end]) + rng.bytes(int(rng.integers(1, 40))))
