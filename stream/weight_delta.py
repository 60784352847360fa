"""A weight delta: how a network's weights differ from another's, as a small binary container. Pure.

    head                             what it belongs to, see `stream.weight_delta_head`
    tensors                          of each: index in the layout u16, bits u8, scale f32
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
from stream.weight_delta_head import DIGEST_BYTES, LAYOUT_BYTES, pack_head, read_head
from stream.weight_delta_head import DeltaHeader as DeltaHeader

Shapes = Mapping[str, tuple[int, ...]]
"""Adaptable weights of a model, by name."""

MIN_BITS, MAX_BITS = 2, 12
_TENSOR = struct.Struct("<HBf")


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
    return hashlib.sha256("".join(lines).encode()).digest()[:LAYOUT_BYTES]


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
    body = pack_head(header, layout=layout_digest(expected_shapes), tensors=len(order))
    body += b"".join(_TENSOR.pack(index, each.bits, each.scale) for index, each in order)
    flat = [each.values.ravel() for _, each in order]
    body += encode_integers(np.concatenate(flat) if flat else np.empty(0, np.int16))
    return body + hashlib.sha256(body).digest()


def read_header(data: bytes, *, limits: DeltaLimits | None = None) -> DeltaHeader:
    """Which model and chain a container says it belongs to, once its checksum is right.

    Raises DeltaRefused.
    """
    return read_head(data, max_bytes=(limits or DeltaLimits()).max_bytes).header


def decode_delta(data: bytes, *, limits: DeltaLimits, expected_shapes: Shapes) -> Delta:
    """Read a container for a model with these adaptable weights.

    Whether it is for this model is for the caller to say, by `header.base_sha256`. Raises
    DeltaRefused for anything that `encode_delta` would not have written, or beyond the limits.
    """
    head = read_head(data, max_bytes=limits.max_bytes)
    if head.layout != layout_digest(expected_shapes):
        raise DeltaRefused("the weights have other names or shapes than this model's")
    if sum(map(math.prod, expected_shapes.values())) > limits.max_weights:
        raise DeltaRefused(f"a model of more than {limits.max_weights} weights is not adapted")
    names = sorted(expected_shapes)
    table_end = head.size + head.tensors * _TENSOR.size
    if head.tensors > len(names) or table_end > len(data) - DIGEST_BYTES:
        raise DeltaRefused("the weights are cut off")
    entries = list(_TENSOR.iter_unpack(data[head.size : table_end]))
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
        header=head.header,
        tensors=MappingProxyType(tensors),
        digest=data[-DIGEST_BYTES:].hex(),
        size_bytes=len(data),
    )
