"""Entropy coding of small integers."""

from __future__ import annotations

import contextlib
import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.errors import DeltaRefused
from stream.weight_coding import LARGEST_VALUE, decode_integers, encode_integers


def laplacian(count: int, spread: float, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).laplace(0, spread, count).round()
    return np.clip(values, -LARGEST_VALUE, LARGEST_VALUE).astype(np.int64)


@pytest.mark.parametrize("count", [0, 1, 31, 4095, 4097, 9001])
@pytest.mark.parametrize("spread", [0.0, 0.2, 5.0, 4000.0])
def test_integers_come_back_as_they_were(count: int, spread: float) -> None:
    values = laplacian(count, spread)
    decoded = decode_integers(encode_integers(values), count)
    assert decoded.dtype == np.int16
    assert np.array_equal(decoded, values)


def test_the_extremes_come_back_and_more_is_refused() -> None:
    values = np.array([LARGEST_VALUE, -LARGEST_VALUE, 15, -15, 16, -16, 0])
    assert np.array_equal(decode_integers(encode_integers(values), values.size), values)
    with pytest.raises(ValueError, match="32767"):
        encode_integers(np.array([LARGEST_VALUE + 1]))


def test_sparse_values_cost_less_than_their_entropy_without_context() -> None:
    rows = np.exp(np.random.default_rng(1).normal(0, 1.2, (160, 1)))
    values = (np.random.default_rng(2).laplace(0, 0.25, (160, 432)) * rows).round().astype(int)
    _, counts = np.unique(values, return_counts=True)
    shares = counts / values.size
    entropy_bytes = -(shares * np.log2(shares)).sum() * values.size / 8
    assert len(encode_integers(values)) < 0.9 * entropy_bytes


def test_nothing_but_zeros_costs_next_to_nothing() -> None:
    assert len(encode_integers(np.zeros(100_000, np.int64))) < 500


def test_the_format_stays_as_it_is() -> None:
    coded = encode_integers(laplacian(6000, 1.0))
    assert hashlib.sha256(coded).hexdigest()[:16] == "ad35786fe9fa596a"


@given(st.binary(max_size=300), st.integers(0, 600))
@settings(max_examples=60, deadline=None)
def test_junk_is_refused_or_is_a_list_of_that_length(data: bytes, count: int) -> None:
    with contextlib.suppress(DeltaRefused):
        assert decode_integers(data, count).shape == (count,)


def test_another_length_another_byte_or_a_cut_is_refused_or_gives_that_many_values() -> None:
    values = laplacian(500, 0.7)
    coded = encode_integers(values)
    rng = np.random.default_rng(3)
    changed_but_read = 0
    for _ in range(60):
        damaged = bytearray(coded)
        damaged[rng.integers(len(coded))] ^= 1 << int(rng.integers(8))
        try:
            assert decode_integers(bytes(damaged), 500).shape == (500,)
            changed_but_read += 1
        except DeltaRefused:
            pass
    assert changed_but_read <= 3  # the final states give nearly all of them away
    for count in (0, 1, 400, 501, 5000):
        with pytest.raises(DeltaRefused):
            decode_integers(coded, count)
    for length in (0, 3, 7, 8, len(coded) // 2, len(coded) - 1, len(coded) - 2):
        with pytest.raises(DeltaRefused):
            decode_integers(coded[:length], 500)
