"""Tests of `encoder.read_ahead`: nothing is lost, everybody who waits is let go."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from encoder.read_ahead import DEPTH, ReadAhead, ReadAheadTimeout


def test_all_items_arrive_in_order_and_then_the_end_for_ever() -> None:
    ahead = ReadAhead((number for number in range(100)), name="numbers")
    assert [ahead.next() for _ in range(102)] == [*range(100), None, None]
    assert ahead.close(5)


def test_a_full_queue_makes_the_generator_wait() -> None:
    made: list[int] = []
    filled = threading.Event()

    def items() -> Generator[int, None, None]:
        for number in range(10 * DEPTH):
            made.append(number)
            if number == DEPTH:
                filled.set()
            yield number

    ahead = ReadAhead(items(), name="full")
    assert filled.wait(5)
    assert len(made) <= DEPTH + 1
    assert ahead.close(5)


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Generator[int, None, None]:
        yield 1
        raise ValueError("broken")

    ahead = ReadAhead(items(), name="broken")
    assert ahead.next() == 1
    with pytest.raises(ValueError, match="broken"):
        ahead.next()


def test_closing_lets_a_waiting_reader_go_at_once_and_the_generator_end_later() -> None:
    gate, was_closed = threading.Event(), threading.Event()

    def items() -> Generator[int, None, None]:
        try:
            gate.wait(10)
            yield 1
        finally:
            was_closed.set()

    ahead = ReadAhead(items(), name="blocked")
    got: list[int | None] = [0]
    reader = threading.Thread(target=lambda: got.append(ahead.next()))
    reader.start()
    assert not ahead.close(0)
    reader.join(5)
    assert got == [0, None]
    gate.set()
    assert was_closed.wait(5)


def test_a_wait_can_have_an_end() -> None:
    gate = threading.Event()

    def items() -> Generator[int, None, None]:
        gate.wait(10)
        yield 1

    ahead = ReadAhead(items(), name="late")
    with pytest.raises(ReadAheadTimeout):
        ahead.next(timeout_s=0.01)
    gate.set()
    assert ahead.next(timeout_s=5) == 1
    ahead.close(5)
