from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.twcc import parse_feedback
from stream.twcc_history import (
    LONGEST_REPORT,
    REPORT_INTERVAL_MS,
    SENT_PACKETS,
    ArrivalLog,
    SentPackets,
    unwrap,
)


def report(log: ArrivalLog, now_ms: float) -> bytes | None:
    return log.report(sender_ssrc=1, media_ssrc=2, now_ms=now_ms)


def reported(log: ArrivalLog, now_ms: float) -> dict[int, float | None]:
    packet = report(log, now_ms)
    assert packet is not None
    read = parse_feedback(packet)
    return {
        (read.base_sequence + index) % 0x10000: None if arrival is None else arrival / 1000
        for index, arrival in enumerate(read.arrivals_us)
    }


def test_arrivals_are_reported_with_the_gaps_between_them_across_the_wrap() -> None:
    log = ArrivalLog()
    for index, sequence in enumerate((65_534, 65_535, 1, 2)):
        log.add(sequence, now_ms=1000 + 10 * index)
    assert reported(log, 1100) == {65_534: 1000, 65_535: 1010, 0: None, 1: 1020, 2: 1030}


def test_a_report_follows_on_the_last_and_repeats_nothing() -> None:
    log = ArrivalLog()
    log.add(7, now_ms=1000)
    assert reported(log, 1000) == {7: 1000}
    assert report(log, 1000 + 2 * REPORT_INTERVAL_MS) is None
    log.add(9, now_ms=1050)
    assert report(log, 1000 + REPORT_INTERVAL_MS / 2) is None
    assert reported(log, 1000 + REPORT_INTERVAL_MS) == {8: None, 9: 1050}


def test_a_late_packet_is_reported_again_with_those_around_it() -> None:
    log = ArrivalLog()
    for sequence in (1, 3):
        log.add(sequence, now_ms=1000 + sequence)
    assert reported(log, 1100) == {1: 1001, 2: None, 3: 1003}
    log.add(2, now_ms=1150)
    log.add(3, now_ms=1151)  # a duplicate keeps its first time
    log.add(4, now_ms=1152)
    assert reported(log, 1200) == {2: 1150, 3: 1003, 4: 1152}


def test_a_sender_that_begins_anew_is_followed() -> None:
    log = ArrivalLog()
    log.add(5, now_ms=0)
    log.add(30_000, now_ms=10)
    assert reported(log, 100) == {30_000: 10}


def test_a_long_silence_does_not_break_the_next_report() -> None:
    log = ArrivalLog()
    log.add(5, now_ms=0)
    log.add(6, now_ms=60_000)
    assert reported(log, 60_100) == {6: 60_000}


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.floats(0, 20_000)), max_size=60))
def test_no_numbers_from_the_peer_break_the_log(packets: list[tuple[int, float]]) -> None:
    log, now_ms = ArrivalLog(), 0.0
    for sequence, wait_ms in packets:
        now_ms += wait_ms
        log.add(sequence, now_ms=now_ms)
        packet = report(log, now_ms)
        assert packet is None or len(parse_feedback(packet).arrivals_us) <= LONGEST_REPORT


def test_the_sending_end_learns_what_arrived_when_and_what_did_not() -> None:
    sent, log = SentPackets(), ArrivalLog()
    numbers = [sent.add(100 + index, now_ms=10 * index, probe=None) for index in range(5)]
    for index in (0, 1, 3):
        log.add(numbers[index], now_ms=5000 + 10 * index)
    packet = report(log, 5100)
    assert packet is not None
    known = sent.take(packet)
    assert [(each.number, each.size_bytes, each.sent_ms) for each in known] == [
        (index, 100 + index, 10 * index) for index in range(4)
    ]
    assert [each.arrived_ms for each in known] == [5000, 5010, None, 5030]
    assert sent.take(packet) == []
    log.add(numbers[2], now_ms=5110)  # not lost after all
    packet = report(log, 5200)
    assert packet is not None
    assert [(each.number, each.arrived_ms) for each in sent.take(packet)] == [(2, 5110)]


def test_a_transport_that_lives_long_keeps_a_bounded_memory() -> None:
    sent, log = SentPackets(), ArrivalLog()
    for index in range(3 * 65_536 // 2):
        number = sent.add(1, now_ms=index)
        if index % 100 == 0:
            log.add(number, now_ms=index)
            packet = report(log, index)
            if packet is not None:
                assert [each.number for each in sent.take(packet) if each.arrived_ms is not None]
    assert len(sent._packets) <= SENT_PACKETS
    assert len(sent._reported_lost) <= SENT_PACKETS


def test_numbers_unwrap_to_the_nearest() -> None:
    assert [unwrap(1, near=65_535), unwrap(65_535, near=65_536), unwrap(5, near=3)] == [
        65_537,
        65_535,
        5,
    ]
