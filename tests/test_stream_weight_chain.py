"""Deltas of a stream in their order."""

from __future__ import annotations

import numpy as np
import pytest

from stream.errors import DeltaRefused
from stream.weight_chain import WeightChain
from stream.weight_delta import Delta, DeltaHeader, DeltaLimits, decode_delta, encode_delta
from tests.weight_deltas import BASE, SHAPES, quantised, state, step


def decoded(data: bytes) -> Delta:
    return decode_delta(data, limits=DeltaLimits(), expected_shapes=SHAPES)


def test_steps_add_up_on_a_state_and_a_state_starts_anew() -> None:
    chain = WeightChain(BASE)
    first = chain.apply(decoded(state(0, seed=1)))
    second = chain.apply(decoded(step(1, str(chain.digest), seed=2)))
    for name in SHAPES:
        expected = quantised(seed=1)[name].changes() + quantised(seed=2)[name].changes()
        assert np.array_equal(second[name], expected)
        assert np.array_equal(first[name], quantised(seed=1)[name].changes())  # as it was
    anew = chain.apply(decoded(state(5, seed=3)))
    assert all(np.array_equal(anew[name], quantised(seed=3)[name].changes()) for name in SHAPES)
    assert chain.sequence == 5


def test_both_sides_hold_the_same_bits() -> None:
    sending, receiving = WeightChain(BASE), WeightChain(BASE)
    sending.apply(decoded(state(0)))
    receiving.apply(decoded(state(0)))
    for sequence in range(1, 6):
        data = step(sequence, str(sending.digest), seed=sequence)
        sending.apply(decoded(data))
        receiving.apply(decoded(data))
    for name in SHAPES:
        assert sending.changes[name].tobytes() == receiving.changes[name].tobytes()


def test_what_is_replayed_out_of_order_or_of_another_chain_is_refused_and_changes_nothing() -> None:
    chain = WeightChain(BASE)
    start, other = decoded(state(1)), decoded(state(1, seed=9))
    follower = decoded(step(2, start.digest))
    with pytest.raises(DeltaRefused, match="did not arrive"):
        chain.apply(follower)  # a late joiner has no state yet
    assert dict(chain.changes) == {}
    chain.apply(start)
    chain.apply(follower)
    before = dict(chain.changes)
    for late in (start, other, follower, decoded(step(3, start.digest)), decoded(state(2, seed=4))):
        with pytest.raises(DeltaRefused, match=r"old|did not arrive"):
            chain.apply(late)
    assert chain.digest == follower.digest
    assert dict(chain.changes) == before


def test_after_a_loss_the_next_state_goes_on() -> None:
    chain = WeightChain(BASE)
    chain.apply(decoded(state(0)))
    lost = decoded(step(1, str(chain.digest)))
    with pytest.raises(DeltaRefused, match="did not arrive"):
        chain.apply(decoded(step(2, lost.digest)))
    chain.apply(decoded(state(3, seed=3)))
    chain.apply(decoded(step(4, str(chain.digest))))
    assert chain.sequence == 4


def test_deltas_for_another_model_are_refused() -> None:
    data = encode_delta(DeltaHeader(base_sha256="cd" * 32), quantised(), expected_shapes=SHAPES)
    with pytest.raises(DeltaRefused, match="another model"):
        WeightChain(BASE).apply(decoded(data))


def test_changes_cannot_be_written_to() -> None:
    changes = WeightChain(BASE).apply(decoded(state()))
    with pytest.raises(ValueError, match="read-only"):
        changes["extract.conv.bias"][0] = 1
