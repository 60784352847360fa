"""Containers of weight deltas: what is written comes back, and nothing else is read."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
import pytest

from stream.errors import DeltaRefused
from stream.weight_chain import WeightChain
from stream.weight_delta import (
    MAX_BITS,
    Delta,
    DeltaHeader,
    DeltaLimits,
    QuantisedTensor,
    decode_delta,
    encode_delta,
    read_header,
)
from tests.weight_deltas import BASE, SHAPES, damaged, quantised, sealed, state, step, with_scale


def decoded(data: bytes, limits: DeltaLimits | None = None) -> Delta:
    return decode_delta(data, limits=limits or DeltaLimits(), expected_shapes=SHAPES)


def test_a_delta_comes_back_as_it_was_written() -> None:
    tensors = quantised()
    header = DeltaHeader(base_sha256=BASE, sequence=7, parent="ab" * 32, valid_from_pts=-123)
    data = encode_delta(header, tensors, expected_shapes=SHAPES)
    delta = decoded(data)
    assert delta.header == header == read_header(data)
    assert delta.size_bytes == len(data)
    assert delta.digest == hashlib.sha256(data[:-32]).hexdigest()
    assert delta.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert np.array_equal(delta.tensors[name].values, tensor.values)
        assert delta.tensors[name].bits == tensor.bits
        assert delta.tensors[name].scale == np.float32(tensor.scale)
        assert np.array_equal(delta.tensors[name].changes(), tensor.changes())


def test_tensors_that_do_not_change_are_left_out() -> None:
    tensors = quantised()
    tensors["fuse.conv.bias"] = QuantisedTensor(values=np.zeros(6, np.int16), scale=1.0, bits=2)
    header = DeltaHeader(base_sha256=BASE)
    delta = decoded(encode_delta(header, tensors, expected_shapes=SHAPES))
    assert set(delta.tensors) == set(SHAPES) - {"fuse.conv.bias"}
    empty = decoded(encode_delta(header, {}, expected_shapes=SHAPES))
    assert dict(empty.tensors) == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bits": 1}, "bits"),
        ({"bits": MAX_BITS + 1}, "bits"),
        ({"bits": 2}, "does not fit 2 bits"),
        ({"scale": float("nan")}, "positive float32"),
        ({"scale": 0.0}, "positive float32"),
        ({"scale": 1e39}, "positive float32"),
    ],
)
def test_a_tensor_that_cannot_be_written_is_refused(
    changes: dict[str, Any],  # Any: of one field or another
    message: str,
) -> None:
    tensor = QuantisedTensor(values=np.array([3, -3], np.int16), scale=0.1, bits=3)
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(tensor, **changes)


def test_names_and_shapes_that_the_model_lacks_are_not_written() -> None:
    tensor = QuantisedTensor(values=np.ones((2, 2), np.int16), scale=0.1, bits=3)
    for name in ("fuse.conv.bias", "unknown"):
        with pytest.raises(ValueError, match="the model has"):
            encode_delta(DeltaHeader(base_sha256=BASE), {name: tensor}, expected_shapes=SHAPES)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a weight delta"),
        (b"GIF89a" + bytes(200), "not a weight delta"),
        (state()[:-1], "checksum"),
        (state() + b"x", "checksum"),
        (sealed(state()[:4] + b"\x03" + state()[5:-32]), "version 3"),
        (sealed(state()[:5] + b"\x01" + state()[6:-32]), "neither a state nor a step"),
        (sealed(state()[:-40]), "cut off|add up"),
        (with_scale(state(), float("nan")), "positive float32"),
        (with_scale(state(), 1.5), "change by more than 2"),
    ],
)
def test_what_is_not_a_sound_delta_is_refused_with_a_reason(data: bytes, message: str) -> None:
    with pytest.raises(DeltaRefused, match=message):
        decoded(data)


def test_size_is_bounded_before_anything_is_read() -> None:
    data = state()
    with pytest.raises(DeltaRefused, match="larger than 100 bytes"):
        decoded(data, DeltaLimits(max_bytes=100))
    with pytest.raises(DeltaRefused, match="more than 10 weights"):
        decoded(data, DeltaLimits(max_weights=10))


def test_a_delta_for_other_shapes_is_refused() -> None:
    for shapes in (
        SHAPES | {"extract.conv.bias": (5,)},
        {name: shape for name, shape in SHAPES.items() if name != "fuse.conv.bias"},
        SHAPES | {"more": (1,)},
    ):
        with pytest.raises(DeltaRefused, match="other names or shapes"):
            decode_delta(state(), limits=DeltaLimits(), expected_shapes=shapes)


def test_a_thousand_damaged_deltas_are_refused_or_harmless() -> None:
    chain = WeightChain(BASE)
    chain.apply(decoded(state(3)))
    before = {name: change.copy() for name, change in chain.changes.items()}
    follower = step(4, str(chain.digest))
    accepted = 0
    for data in (
        *damaged(state(4), count=500, seed=1),
        *damaged(follower, count=500, seed=2),
    ):
        try:
            delta = decoded(data)
            chain.check(delta)
        except DeltaRefused:
            continue
        accepted += 1  # sealed anew by somebody who may send: then it is only another delta
        assert set(delta.tensors) <= set(SHAPES)
        for name, tensor in delta.tensors.items():
            changes = tensor.changes()
            assert changes.shape == SHAPES[name]
            assert np.isfinite(changes).all()
            assert np.abs(changes).max() <= 2
    assert accepted < 150
    assert chain.digest == decoded(state(3)).digest
    assert all(np.array_equal(chain.changes[name], before[name]) for name in before)


def test_only_whoever_seals_anew_can_change_a_delta() -> None:
    data = bytearray(state())
    for place in range(0, len(data), 3):
        data[place] ^= 0x40
        with pytest.raises(DeltaRefused):
            decoded(bytes(data))
        data[place] ^= 0x40
