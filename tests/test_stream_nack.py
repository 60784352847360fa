from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from stream.nack import GIVE_UP_MS, RETRY_MS, NackRequests

MS = 90


@dataclass(frozen=True, slots=True)
class Packet:
    sequence_number: int
    timestamp: int


def test_packets_in_order_ask_for_nothing_even_where_numbers_wrap() -> None:
    requests = NackRequests()
    for number in range(65_500, 65_700):
        assert not requests.add(Packet(number % 65_536, number * 40 * MS))
    assert not requests.missing


def test_a_gap_is_asked_for_at_once_across_the_wrap() -> None:
    requests = NackRequests()
    requests.add(Packet(65_534, 0))
    assert requests.add(Packet(1, 40 * MS))
    assert sorted(requests.missing) == [0, 65_535]


def test_a_retransmission_settles_the_request() -> None:
    requests = NackRequests()
    for number in (1, 3):
        requests.add(Packet(number, 40 * MS))
    assert not requests.add(Packet(2, 0))
    assert not requests.missing
    assert not requests.add(Packet(4, (40 + 2 * RETRY_MS) * MS))


def test_what_stays_missing_is_asked_for_again_and_then_given_up() -> None:
    requests = NackRequests()
    requests.add(Packet(0, 0))
    asked = [
        time_ms
        for number, time_ms in enumerate(range(40, 1000, 20), start=2)
        if requests.add(Packet(number, time_ms * MS))
    ]
    assert asked == [40, 40 + RETRY_MS, 40 + 2 * RETRY_MS, 40 + 3 * RETRY_MS]
    assert asked[-1] - asked[0] <= GIVE_UP_MS
    assert not requests.missing


def test_a_restarted_stream_asks_for_nothing() -> None:
    requests = NackRequests()
    requests.add(Packet(0, 0))
    assert not requests.add(Packet(20_000, 0))
    assert not requests.missing


@given(st.lists(st.tuples(st.integers(0, 65_535), st.integers(0, 2**32 - 1)), max_size=200))
def test_any_packets_leave_a_bounded_table(packets: list[tuple[int, int]]) -> None:
    requests = NackRequests()
    for number, timestamp in packets:
        requests.add(Packet(number, timestamp))
        assert len(requests.missing) <= 256
