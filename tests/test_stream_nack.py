from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from stream.nack import LONGEST_PATIENCE_MS, NackRequests, patience_ms

RTT_MS = 50.0
LONG_AGO_MS = -10_000.0
"""For the first packet of a test that is not about what was lost before it."""


@dataclass(frozen=True, slots=True)
class Packet:
    sequence_number: int


def add(
    requests: NackRequests, number: int, now_ms: float = 0.0, rtt_ms: float = RTT_MS
) -> list[int]:
    return requests.add(Packet(number), rtt_ms=rtt_ms, now_ms=now_ms)


def test_packets_in_order_ask_for_nothing_even_where_numbers_wrap() -> None:
    requests = NackRequests()
    add(requests, 65_499, LONG_AGO_MS)
    for number in range(65_500, 65_700):
        assert add(requests, number % 65_536, 40.0 * number) == []
    assert requests.missing == []


def test_a_gap_is_asked_for_at_once_across_the_wrap() -> None:
    requests = NackRequests()
    add(requests, 65_534, LONG_AGO_MS)
    assert add(requests, 1) == [65_535, 0]


def test_a_retransmission_settles_the_request() -> None:
    requests = NackRequests()
    add(requests, 1, LONG_AGO_MS)
    assert add(requests, 3) == [2]
    assert add(requests, 2, 50) == []
    assert requests.missing == []
    assert add(requests, 4, 200) == []


def test_a_new_gap_does_not_ask_again_for_what_is_under_way() -> None:
    requests = NackRequests()
    add(requests, 1, LONG_AGO_MS)
    assert add(requests, 3, 100) == [2]
    assert add(requests, 5, 120) == [4]
    assert add(requests, 6, 140) == [2]


def test_what_stays_missing_is_asked_for_while_an_answer_would_be_in_time() -> None:
    requests = NackRequests()
    add(requests, 0, LONG_AGO_MS)
    asked = [
        time_ms
        for number, time_ms in enumerate(range(40, 1000, 20), start=2)
        if add(requests, number, time_ms)
    ]
    assert asked == [40, 80, 120, 160, 200, 240, 280]  # the request itself may be lost
    assert asked[-1] + RTT_MS <= 40 + patience_ms(RTT_MS)
    assert requests.missing == []


def test_on_a_long_path_a_packet_is_asked_for_once() -> None:
    requests = NackRequests()
    add(requests, 0, LONG_AGO_MS, rtt_ms=600)
    asked = [
        time_ms
        for number, time_ms in enumerate(range(40, 3000, 40), start=2)
        if add(requests, number, time_ms, rtt_ms=600)
    ]
    assert asked == [40]


def test_the_longer_the_round_trip_the_longer_a_packet_is_waited_for() -> None:
    assert patience_ms(20) == patience_ms(80) == 300
    assert patience_ms(200) == 600  # two tries after it was noticed
    assert patience_ms(5000) == LONGEST_PATIENCE_MS


def test_what_was_lost_before_the_first_packet_that_came_is_asked_for() -> None:
    requests = NackRequests()
    asked = add(requests, 3)
    assert asked[-1] == 2
    assert asked[0] == 65_531
    assert add(requests, 2, 10) == []
    assert add(requests, 1, 20) == []
    assert add(requests, 4, 1000) == []  # there was nothing before


def test_a_restarted_stream_asks_for_nothing() -> None:
    requests = NackRequests()
    add(requests, 0, LONG_AGO_MS)
    assert add(requests, 20_000) == []
    assert requests.missing == []


@given(
    st.lists(st.tuples(st.integers(0, 65_535), st.floats(0, 1e5), st.floats(0, 1e4)), max_size=200)
)
def test_any_packets_leave_a_bounded_table(packets: list[tuple[int, float, float]]) -> None:
    requests, now_ms = NackRequests(), 0.0
    for number, wait_ms, rtt_ms in packets:
        now_ms += wait_ms
        asked = add(requests, number, now_ms, rtt_ms)
        assert set(asked) <= set(requests.missing)
        assert len(requests.missing) <= 128
