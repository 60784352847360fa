"""Pieces of deltas on their way through a data channel."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from stream.errors import DeltaRefused
from stream.weight_delta import DeltaLimits
from stream.weight_messages import (
    PIECE_BYTES,
    WANT_STATE,
    DeltaAssembler,
    is_state_wanted,
    model_told,
    pieces_of,
    restores_with,
    useless,
    useless_digest,
)


def delta(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


@pytest.mark.parametrize("size", [1, PIECE_BYTES, PIECE_BYTES + 1, 10 * PIECE_BYTES, 7777])
def test_a_delta_comes_out_as_it_went_in(size: int) -> None:
    assembler = DeltaAssembler()
    for number in (4, 5):
        *pieces, last = pieces_of(delta(size, number), number)
        assert [assembler.push(piece) for piece in pieces] == [None] * len(pieces)
        assert assembler.push(last) == delta(size, number)
    assert all(len(piece) <= 1172 for piece in pieces_of(delta(size), 1))


def test_a_delta_whose_middle_is_missing_is_dropped_and_the_next_one_is_whole() -> None:
    assembler = DeltaAssembler()
    first, second, third = pieces_of(delta(3000), 1)
    assembler.push(first)
    with pytest.raises(DeltaRefused, match="missing"):
        assembler.push(third)
    with pytest.raises(DeltaRefused, match="missing"):
        assembler.push(second)  # nothing is mixed from what is left
    results = [assembler.push(piece) for piece in pieces_of(delta(3000, 2), 2)]
    assert results == [None, None, delta(3000, 2)]


def test_a_delta_that_is_broken_off_gives_way_to_the_next() -> None:
    assembler = DeltaAssembler()
    assembler.push(pieces_of(delta(3000), 1)[0])
    assert [assembler.push(piece) for piece in pieces_of(b"short", 2)] == [b"short"]


def test_more_than_the_limit_is_refused_with_its_first_piece() -> None:
    assembler = DeltaAssembler(DeltaLimits(max_bytes=5000))
    assert [assembler.push(piece) for piece in pieces_of(delta(5000), 1)][-1] == delta(5000)
    with pytest.raises(DeltaRefused, match="larger than 5000 bytes"):
        assembler.push(pieces_of(delta(7000), 2)[0])


@pytest.mark.parametrize(
    "message",
    [
        *(b"", "text", b"\x01\x01", WANT_STATE, None),
        b"\x03" + pieces_of(b"x", 1)[0][1:],
        b"\x01\x02" + pieces_of(b"x", 1)[0][2:],
        b"\x01\x01" + bytes(8) + b"no pieces at all",
        pieces_of(b"x", 1)[0][:10],
        pieces_of(b"x", 1)[0] + bytes(2000),
    ],
    ids=range(10),
)
def test_other_messages_are_refused(message: object) -> None:
    with pytest.raises(DeltaRefused):
        DeltaAssembler().push(message)


def test_junk_is_refused_or_ignored() -> None:
    assembler = DeltaAssembler()
    rng = np.random.default_rng(1)
    pieces = pieces_of(delta(4000), 9)
    for _ in range(500):
        damaged = bytearray(pieces[rng.integers(len(pieces))])
        damaged[rng.integers(10)] = rng.integers(256)
        with contextlib.suppress(DeltaRefused):
            assembler.push(bytes(damaged))
    for piece in pieces_of(b"whole", 77):
        assert assembler.push(piece) == b"whole"


def test_what_is_of_no_use_is_named_and_nothing_else_is_taken_for_it() -> None:
    digest = "ab" * 32
    assert useless_digest(useless(digest)) == digest
    for message in (b"", "text", WANT_STATE, useless(digest)[:-1], useless(digest) + b"x", None):
        assert useless_digest(message) is None
    assert useless_digest(b"\x04\x02" + bytes(32)) is None
    assert not is_state_wanted(useless(digest))


def test_a_request_for_a_state_is_told_from_all_else() -> None:
    assert is_state_wanted(WANT_STATE)
    assert not any(map(is_state_wanted, (b"", "text", b"\x02", WANT_STATE + b"\x00")))


def test_a_receiver_tells_which_model_it_restores_with_and_nothing_else_does() -> None:
    message = restores_with("ab" * 32)
    assert model_told(message) == "ab" * 32
    assert not is_state_wanted(message)
    for other in (WANT_STATE, "text", b"", message[:-1], message + b"x", b"\x02" + message[1:]):
        assert model_told(other) is None
    assert model_told(pieces_of(bytes(24), 1)[0]) is None  # as long, by chance
