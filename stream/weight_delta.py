"""A weight delta: how a network's weights differ from another's, as a small binary container. Pure.

    magic "EDVW", version, kind      4 + 1 + 1 bytes; kind 0: a state, 1: a step
    base                             SHA-256 of the model artefact that the weights belong to
    layout                           digest of that model's adaptable weights: names and shapes
    parent                           digest of the delta that a step follows; zeros for a state
    sequence, valid from             u32, and the pts of the first frame it is meant for
    tensors                          how many; of each: index in the layout, bits, scale
    values                           coded integers of all of them (`stream.weight_coding`)
    checksum                         SHA-256 of everything before; it is the delta's digest

All numbers are little-endian. A weight changes by scale * integer. A *state* is relative to the
base model, so it stands alone; a *step* is relative to the delta before it, which it names by
digest, so that weights of different deltas are never mixed (`stream.weight_chain`). Tensors that
are not mentioned stay as they are.

A delta is data from the network: whatever it says is bounded before memory is allocated for it,
names and shapes come from the model and not from the delta, and all numbers are finite and small.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from stream.errors import DeltaRefused
from stream.weight_coding import decode_integers, encode_integers

VERSION = 1
MAGIC = b"EDVW"

Shapes = Mapping[str, tuple[int, ...]]
"""Adaptable weights of a model, by name."""

MIN_BITS, MAX_BITS = 2, 12
DIGEST_BYTES = 32
_LAYOUT_BYTES = 8
_HEAD = struct.Struct(f"<4sBB{DIGEST_BYTES}s{_LAYOUT_BYTES}s{DIGEST_BYTES}sIqH")
_TENSOR = struct.Struct("<HBf")
_NO_PTS = -(1 << 63)
_NO_PARENT = bytes(DIGEST_BYTES)
_MAX_PTS = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaHeader:
    """What a delta belongs to.

    base_sha256: of the model artefact, 64 hexadecimal digits.
    sequence: counts a stream's deltas, from 0.
    parent: digest of the delta that a step follows, 64 digits; None for a state.
    valid_from_pts: the first frame it is meant for, in 1/90000 s of the stream; None for any.

    Raises ValueError for what cannot be written.
    """

    base_sha256: str
    sequence: int = 0
    parent: str | None = None
    valid_from_pts: int | None = None

    def __post_init__(self) -> None:
        for digest in (self.base_sha256, self.parent):
            if digest is not None and len(bytes.fromhex(digest)) != DIGEST_BYTES:
                raise ValueError(f"{digest!r} is not a SHA-256")
        if self.parent is not None and bytes.fromhex(self.parent) == _NO_PARENT:
            raise ValueError("no delta has a digest of zeros")
        if not 0 <= self.sequence < 1 << 32:
            raise ValueError(f"sequence {self.sequence} does not fit 32 bits")
        if self.valid_from_pts is not None and abs(self.valid_from_pts) > _MAX_PTS:
            raise ValueError(f"pts {self.valid_from_pts} is out of range")

    @property
    def is_state(self) -> bool:
        """Whether it stands alone."""
        return self.parent is None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuantisedTensor:
    """Changes of one tensor: `values` * `scale`.

    values: signed integers of `bits` bits in the tensor's shape, in ±(2^(bits - 1) - 1).
    Raises ValueError when they are not, or when the scale is not a positive float32.
    """

    values: NDArray[np.int16]
    scale: float
    bits: int

    def __post_init__(self) -> None:
        if not MIN_BITS <= self.bits <= MAX_BITS:
            raise ValueError(f"{self.bits} bits; {MIN_BITS} to {MAX_BITS} are possible")
        with np.errstate(over="ignore"):
            scale = float(np.float32(self.scale))
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"a scale of {self.scale} is not a positive float32")
        if self.largest > self.largest_possible:
            raise ValueError(f"a value of {self.largest} does not fit {self.bits} bits")

    @property
    def largest(self) -> int:
        """The largest magnitude among the values."""
        return int(np.abs(self.values.astype(np.int32)).max(initial=0))

    @property
    def largest_possible(self) -> int:
        """The largest magnitude that `bits` can hold."""
        return (1 << (self.bits - 1)) - 1

    def changes(self) -> NDArray[np.float32]:
        """What is added to the weights, rounded once: the same on every machine."""
        return np.asarray(self.values.astype(np.float32) * np.float32(self.scale))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaLimits:
    """What is accepted from outside.

    max_bytes: of a container. max_weights: of the model it is for. max_change: of a single weight.
    """

    max_bytes: int = 4 << 20
    max_weights: int = 4_000_000
    max_change: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Delta:
    """A delta that was found sound. digest: 64 hexadecimal digits; size_bytes: of its container."""

    header: DeltaHeader
    tensors: Mapping[str, QuantisedTensor]
    digest: str
    size_bytes: int


def layout_digest(shapes: Shapes) -> bytes:
    """Eight bytes that stand for the names and shapes of a model's adaptable weights."""
    lines = (f"{name} {'x'.join(map(str, shapes[name]))}\n" for name in sorted(shapes))
    return hashlib.sha256("".join(lines).encode()).digest()[:_LAYOUT_BYTES]


def encode_delta(
    header: DeltaHeader, tensors: Mapping[str, QuantisedTensor], *, expected_shapes: Shapes
) -> bytes:
    """The container of a delta for a model with these adaptable weights.

    Tensors without any change are left out. Raises ValueError for names or shapes that the model
    does not have.
    """
    for name, tensor in tensors.items():
        if expected_shapes.get(name) != tensor.values.shape:
            raise ValueError(
                f"{name} is {tensor.values.shape}, the model has {expected_shapes.get(name)}"
            )
    order = [
        (index, tensors[name])
        for index, name in enumerate(sorted(expected_shapes))
        if name in tensors and tensors[name].largest
    ]
    body = _HEAD.pack(
        MAGIC,
        VERSION,
        0 if header.is_state else 1,
        bytes.fromhex(header.base_sha256),
        layout_digest(expected_shapes),
        _NO_PARENT if header.parent is None else bytes.fromhex(header.parent),
        header.sequence,
        _NO_PTS if header.valid_from_pts is None else header.valid_from_pts,
        len(order),
    )
    body += b"".join(_TENSOR.pack(index, each.bits, each.scale) for index, each in order)
    flat = [each.values.ravel() for _, each in order]
    body += encode_integers(np.concatenate(flat) if flat else np.empty(0, np.int16))
    return body + hashlib.sha256(body).digest()


def read_header(data: bytes, *, limits: DeltaLimits | None = None) -> DeltaHeader:
    """Which model and chain a container says it belongs to, once its checksum is right.

    Raises DeltaRefused.
    """
    return _read_head(data, DeltaLimits() if limits is None else limits)[0]


def decode_delta(data: bytes, *, limits: DeltaLimits, expected_shapes: Shapes) -> Delta:
    """Read a container for a model with these adaptable weights.

    Whether it is for this model is for the caller to say, by `header.base_sha256`. Raises
    DeltaRefused for anything that `encode_delta` would not have written, or beyond the limits.
    """
    header, layout, count = _read_head(data, limits)
    if layout != layout_digest(expected_shapes):
        raise DeltaRefused("the weights have other names or shapes than this model's")
    if sum(map(math.prod, expected_shapes.values())) > limits.max_weights:
        raise DeltaRefused(f"a model of more than {limits.max_weights} weights is not adapted")
    names = sorted(expected_shapes)
    table_end = _HEAD.size + count * _TENSOR.size
    if count > len(names) or table_end > len(data) - DIGEST_BYTES:
        raise DeltaRefused("the weights are cut off")
    entries = list(_TENSOR.iter_unpack(data[_HEAD.size : table_end]))
    indices = [index for index, _, _ in entries]
    if indices != sorted(set(indices)) or (indices and indices[-1] >= len(names)):
        raise DeltaRefused("the weights name tensors that this model does not have")
    sizes = [math.prod(expected_shapes[names[index]]) for index in indices]
    flat = decode_integers(data[table_end:-DIGEST_BYTES], sum(sizes))
    tensors, position = {}, 0
    for (index, bits, scale), size in zip(entries, sizes, strict=True):
        name = names[index]
        values = flat[position : position + size].reshape(expected_shapes[name])
        position += size
        try:
            tensor = QuantisedTensor(values=values, scale=scale, bits=bits)
        except ValueError as error:
            raise DeltaRefused(f"{name}: {error}") from error
        if tensor.largest * scale > limits.max_change:
            raise DeltaRefused(f"{name} would change by more than {limits.max_change:g}")
        tensors[name] = tensor
    return Delta(
        header=header,
        tensors=MappingProxyType(tensors),
        digest=data[-DIGEST_BYTES:].hex(),
        size_bytes=len(data),
    )


def _read_head(data: bytes, limits: DeltaLimits) -> tuple[DeltaHeader, bytes, int]:
    """Header, layout digest and number of tensors."""
    if len(data) > limits.max_bytes:
        raise DeltaRefused(f"the weights are larger than {limits.max_bytes} bytes")
    if len(data) < _HEAD.size + DIGEST_BYTES or data[:4] != MAGIC:
        raise DeltaRefused("this is not a weight delta")
    if data[4] != VERSION:
        raise DeltaRefused(f"the weights are of version {data[4]}, this program reads {VERSION}")
    if hashlib.sha256(data[:-DIGEST_BYTES]).digest() != data[-DIGEST_BYTES:]:
        raise DeltaRefused("the weights are damaged: their checksum is wrong")
    _, _, kind, base, layout, parent, sequence, pts, count = _HEAD.unpack_from(data)
    if kind not in (0, 1) or (kind == 0) != (parent == _NO_PARENT):
        raise DeltaRefused("the weights are neither a state nor a step")
    try:
        header = DeltaHeader(
            base_sha256=base.hex(),
            sequence=sequence,
            parent=parent.hex() if kind else None,
            valid_from_pts=None if pts == _NO_PTS else pts,
        )
    except ValueError as error:
        raise DeltaRefused(f"the weights are not for a stream: {error}") from error
    return header, layout, count
