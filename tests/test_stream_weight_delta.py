"""Containers of weight deltas: what is written comes back, and nothing else is read."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
import pytest

from stream.errors import DeltaRefused
from stream.scene_signature import MAX_SIGNATURES, SIGNATURE_BYTES
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
from stream.weight_delta_head import readdressed
from tests.weight_deltas import (
    BASE,
    SHAPES,
    damaged,
    quantised,
    scene_state,
    sealed,
    state,
    step,
    with_scale,
)

SCENE_AT = 4 + 2 + 32 + 8 + 32 + 4 + 8 + 2
"""Where a container says which scene it is for."""


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


def test_a_delta_for_a_scene_says_which_and_what_it_looks_like() -> None:
    for looks in (0, 1, MAX_SIGNATURES):
        data = scene_state(number=7, looks=looks)
        scene = read_header(data).scene
        assert scene is not None
        assert (scene.number, len(scene.signatures)) == (7, looks)
        assert decoded(data).tensors.keys() == decoded(state()).tensors.keys()
        assert len(data) == len(state()) + 2 + looks * SIGNATURE_BYTES
    assert (state()[4], scene_state()[4]) == (1, 2)  # older receivers read what is for all scenes


def test_a_state_can_be_given_another_place_in_a_stream() -> None:
    scene = read_header(scene_state()).scene
    for data, wanted in ((state(2), scene), (scene_state(2), None), (scene_state(2), scene)):
        moved = readdressed(data, sequence=9, scene=wanted, max_bytes=10_000)
        delta = decoded(moved)
        assert (delta.header.sequence, delta.header.scene) == (9, wanted)
        for name, tensor in decoded(data).tensors.items():
            assert np.array_equal(delta.tensors[name].changes(), tensor.changes())
    for data, message in (
        (step(1, "ab" * 32), "do not stand alone"),
        (state()[:-1], "checksum"),
        (bytes(10_001), "larger than"),
    ):
        with pytest.raises(DeltaRefused, match=message):
            readdressed(data, sequence=1, scene=None, max_bytes=10_000)


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
        (sealed(scene_state()[:SCENE_AT]), "cut off"),
        (sealed(scene_state()[: SCENE_AT + 100]), "cut off"),
        (sealed(scene_state()[: SCENE_AT + 1] + b"\x09" + bytes(2000)), "too many signatures"),
        (sealed(scene_state()[: SCENE_AT + 1] + b"\xff" + bytes(200)), "cut off"),
        (sealed(state()[:4] + b"\x02" + state()[5:-32]), "cut off|tensors|layout|add up"),
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


def test_fifteen_hundred_damaged_deltas_are_refused_or_harmless() -> None:
    chain = WeightChain(BASE)
    chain.apply(decoded(state(3)))
    before = {name: change.copy() for name, change in chain.changes.items()}
    follower = step(4, str(chain.digest))
    accepted = 0
    for data in (
        *damaged(state(4), count=500, seed=1),
        *damaged(follower, count=500, seed=2),
        *damaged(scene_state(4), count=500, seed=3),
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
    assert accepted < 400  # of those for a scene, most bytes say what it looks like
    assert chain.digest == decoded(state(3)).digest
    assert all(np.array_equal(chain.changes[name], before[name]) for name in before)


def test_only_whoever_seals_anew_can_change_a_delta() -> None:
    data = bytearray(state())
    for place in range(0, len(data), 3):
        data[place] ^= 0x40
        with pytest.raises(DeltaRefused):
            decoded(bytes(data))
        data[place] ^= 0x40
