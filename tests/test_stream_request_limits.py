from __future__ import annotations

from stream.request_limits import (
    LONGEST_USE_MS,
    REMEMBERED_PACKETS,
    KeyframeRequestLimit,
    RetransmissionLimit,
)


def test_a_packet_is_sent_again_once_in_a_round_trip() -> None:
    limit = RetransmissionLimit()
    limit.note_sent(7, now_ms=0)
    assert limit.allows(7, rtt_ms=50, now_ms=30)
    assert not limit.allows(7, rtt_ms=50, now_ms=75)  # asked again before the answer came
    assert limit.allows(7, rtt_ms=50, now_ms=85)


def test_a_packet_that_would_come_too_late_or_was_never_sent_is_not() -> None:
    limit = RetransmissionLimit()
    limit.note_sent(7, now_ms=0)
    assert not limit.allows(8, rtt_ms=50, now_ms=10)
    assert limit.allows(7, rtt_ms=100, now_ms=LONGEST_USE_MS - 50)
    limit.note_sent(9, now_ms=0)
    assert not limit.allows(9, rtt_ms=100, now_ms=LONGEST_USE_MS - 49)


def test_numbers_that_come_around_are_new_packets_and_memory_is_bounded() -> None:
    limit = RetransmissionLimit()
    for number in range(3 * REMEMBERED_PACKETS):
        limit.note_sent(number % 2000, now_ms=number)
        assert limit.allows(number % 2000, rtt_ms=1e6, now_ms=number) is False
        assert limit.allows(number % 2000, rtt_ms=50, now_ms=number)
        assert not limit.allows(number % 2000, rtt_ms=50, now_ms=number)
    assert len(limit._sent_ms) == REMEMBERED_PACKETS >= len(limit._again_ms)


def test_keyframes_are_asked_for_once_in_a_round_trip() -> None:
    limit = KeyframeRequestLimit()
    passed = [at_ms for at_ms in range(0, 2000, 10) if limit.allows(rtt_ms=400, now_ms=at_ms)]
    assert passed == [0, 500, 1000, 1500]
