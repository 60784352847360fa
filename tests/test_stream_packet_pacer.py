from __future__ import annotations

from itertools import pairwise

from stream.packet_pacer import PacketPacer

TICKS_PER_MS = 90


def sent_times(
    pacer: PacketPacer, sizes: list[int], *, at_ms: float, timer_ms: float = 0.0
) -> list[float]:
    """When the packets of one frame leave; timers come up to timer_ms late."""
    for index, size in enumerate(sizes):
        content = bytes([index]) * size
        pacer.push(content, timestamp=round(at_ms * TICKS_PER_MS) % 2**32, now_ms=at_ms)
    times, now_ms, order = [], at_ms, []
    while pacer.next_ms is not None:
        now_ms = max(now_ms, pacer.next_ms)
        packet = pacer.pop(now_ms=now_ms)
        assert packet is not None
        times.append(now_ms - at_ms)
        order.append(packet[0])
        now_ms += timer_ms
    assert order == list(range(len(sizes)))
    return times


def test_a_frame_of_one_packet_leaves_at_once() -> None:
    pacer = PacketPacer()
    assert sent_times(pacer, [700], at_ms=1000) == [0]
    assert sent_times(pacer, [700], at_ms=1040) == [0]


def test_a_large_frame_is_spread_over_most_of_its_interval_and_no_more() -> None:
    pacer = PacketPacer()
    pacer.target_bps = 150_000
    sent_times(pacer, [700], at_ms=1000)
    times = sent_times(pacer, [1200] * 8, at_ms=1040)
    assert times[0] == 0
    gaps = [b - a for a, b in pairwise(times)]
    assert max(gaps) - min(gaps) < 0.01
    assert 25 < times[-1] < 32


def test_the_interval_is_that_of_the_frames() -> None:
    pacer = PacketPacer()
    sent_times(pacer, [700], at_ms=1000)
    sent_times(pacer, [700], at_ms=1016.7)
    assert sent_times(pacer, [1200] * 8, at_ms=1033.3)[-1] < 14


def test_a_wide_link_is_not_waited_for() -> None:
    pacer = PacketPacer()
    pacer.target_bps = 10_000_000
    sent_times(pacer, [700], at_ms=1000)
    assert sent_times(pacer, [1200] * 8, at_ms=1040)[-1] < 3


def test_late_timers_do_not_add_up() -> None:
    pacer = PacketPacer()
    sent_times(pacer, [700], at_ms=1000)
    assert sent_times(pacer, [1200] * 20, at_ms=1040, timer_ms=1.0)[-1] < 36


def test_a_frame_that_comes_before_the_last_has_left_keeps_the_order() -> None:
    pacer = PacketPacer()
    for frame in range(3):
        for index in range(4):
            content = bytes([4 * frame + index]) * 1200
            pacer.push(content, timestamp=frame * 90, now_ms=1000 + frame)
    times, order = [], []
    while pacer.next_ms is not None:
        now_ms = max(1002.0, pacer.next_ms)
        packet = pacer.pop(now_ms=now_ms)
        assert packet is not None
        times.append(now_ms)
        order.append(packet[0])
    assert order == list(range(12))
    assert times == sorted(times)
    assert times[-1] - 1002 < 50
    assert len(pacer) == 0
    assert pacer.pop(now_ms=5000) is None
