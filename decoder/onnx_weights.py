"""Finds and replaces the weights inside ONNX files, as bytes: receiving needs no ONNX library.

An ONNX file is one protocol buffer (onnx.proto3). Of its messages only those on the way to the
initialisers are walked: ModelProto.graph (7) > GraphProto.initializer (5) > TensorProto. Weights of
the same number of values take the same place, so the rest of the file stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.errors import ModelMismatch

_GRAPH, _INITIALISER = 7, 5
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9
_FLOAT32 = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightPlace:
    """Where an initialiser's float32 values are in a file."""

    shape: tuple[int, ...]
    start: int
    end: int


def find_weights(graph: bytes) -> dict[str, WeightPlace]:
    """The float32 initialisers of an ONNX file by name. Raises ModelMismatch when it is none."""
    found = {}
    try:
        for start, end in _messages(graph, 0, len(graph), _GRAPH):
            for place in _messages(graph, start, end, _INITIALISER):
                name, weight = _initialiser(graph, *place)
                if weight is not None:
                    found[name] = weight
    except (IndexError, UnicodeDecodeError) as error:
        raise ModelMismatch(f"this is not an ONNX graph: {error}") from error
    return found


def read_weight(graph: bytes, place: WeightPlace) -> NDArray[np.float32]:
    """The values at a place, read-only."""
    return np.frombuffer(graph[place.start : place.end], "<f4").reshape(place.shape)


def replace_weights(
    graph: bytes, places: Mapping[str, WeightPlace], weights: Mapping[str, NDArray[np.float32]]
) -> bytes:
    """The file with other values for some of its weights, which keep their shapes."""
    patched = bytearray(graph)
    for name, values in weights.items():
        place = places[name]
        if values.shape != place.shape:
            raise ValueError(f"{name} is {place.shape}, got {values.shape}")
        patched[place.start : place.end] = values.astype("<f4").tobytes()
    return bytes(patched)


def _initialiser(data: bytes, start: int, end: int) -> tuple[str, WeightPlace | None]:
    dims: list[int] = []
    name, data_type, raw = "", 0, (start, start)
    for field, wire, first, last in _fields(data, start, end):
        if field == _DIMS and wire == _VARINT:
            dims.append(_varint(data, first, last)[0])
        elif field == _DIMS:
            while first < last:
                dim, first = _varint(data, first, last)
                dims.append(dim)
        elif field == _DATA_TYPE:
            data_type = _varint(data, first, last)[0]
        elif field == _NAME:
            name = data[first:last].decode()
        elif field == _RAW_DATA:
            raw = (first, last)
    if data_type != _FLOAT32 or raw[1] - raw[0] != 4 * math.prod(dims):
        return name, None
    return name, WeightPlace(shape=tuple(dims), start=raw[0], end=raw[1])


def _messages(data: bytes, start: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    for field, wire, first, last in _fields(data, start, end):
        if field == wanted and wire == _BYTES:
            yield first, last


def _fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, and where the value begins and ends. Raises IndexError at a wrong end."""
    position = start
    while position < end:
        tag, position = _varint(data, position, end)
        wire = tag & 7
        if wire == _VARINT:
            last = _varint(data, position, end)[1]
        elif wire == _BYTES:
            length, position = _varint(data, position, end)
            last = position + length
        elif wire in (_FIXED32, _FIXED64):
            last = position + (4 if wire == _FIXED32 else 8)
        else:
            raise IndexError(f"wire type {wire} at byte {position}")
        if last > end:
            raise IndexError(f"a field ends at byte {last}, its message at {end}")
        yield tag >> 3, wire, position, last
        position = last


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A number in groups of seven bits, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
    raise IndexError(f"a number has no end at byte {position}")
