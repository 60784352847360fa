from __future__ import annotations

import random

from stream.delay_detector import QUEUE_LIMIT_MS, DelayDetector, PathUsage
from stream.twcc_history import SentPacket


def feed(
    detector: DelayDetector, delays_ms: list[float], *, from_ms: float = 0, every_ms: float = 40
) -> list[PathUsage]:
    usages = []
    for index, delay_ms in enumerate(delays_ms):
        sent_ms = from_ms + index * every_ms
        detector.add(
            SentPacket(number=index, size_bytes=700, sent_ms=sent_ms, arrived_ms=sent_ms + delay_ms)
        )
        usages.append(detector.usage)
    return usages


def test_a_queue_that_grows_as_fast_as_at_double_rate_is_seen_within_five_frames() -> None:
    detector = DelayDetector()
    feed(detector, [25.0] * 50)
    usages = feed(detector, [25 + 40.0 * n for n in range(1, 8)], from_ms=2000)
    assert PathUsage.OVERUSED in usages[:5]


def test_a_queue_that_shrinks_is_underuse() -> None:
    detector = DelayDetector()
    feed(detector, [25.0] * 5)
    feed(detector, [140 - 4.0 * n for n in range(25)], from_ms=200)
    assert detector.usage is PathUsage.UNDERUSED


def test_the_queue_of_its_own_burst_is_not_taken_for_congestion() -> None:
    for capacity_bps, expected in ((300_000, False), (10_000_000, True)):
        detector = DelayDetector()
        detector.capacity_bps = capacity_bps
        feed(detector, [25.0] * 30)
        usages = []
        for index in range(12):  # a keyframe at four times the rate of a 300 kb/s link
            sent_ms = 1200 + 8.0 * index
            detector.add(
                SentPacket(
                    number=index,
                    size_bytes=1200,
                    sent_ms=sent_ms,
                    arrived_ms=1200 + 25 + 32.0 * (index + 1),
                )
            )
            usages.append(detector.usage)
        assert (PathUsage.OVERUSED in usages) is expected


def test_noise_without_a_trend_is_normal() -> None:
    noise = random.Random(1)
    usages = feed(DelayDetector(), [25 + noise.uniform(0, 15) for _ in range(500)])
    assert PathUsage.OVERUSED not in usages


def test_packets_that_are_read_at_once_after_a_pause_count_as_the_last_of_them() -> None:
    usages = []
    for late_ms in (200.0, 120.0, 360.0):
        detector = DelayDetector()
        feed(detector, [25.0] * 20)
        read_at_ms = 840 + 25 + late_ms  # whatever was sent since 800 ms is read then
        waiting = [read_at_ms - (800 + 40 * n) for n in range(int(late_ms // 40) + 1)]
        usages += feed(detector, waiting, from_ms=800)
        usages += feed(detector, [25.0] * 10, from_ms=800 + 40 * len(waiting))
    assert PathUsage.OVERUSED not in usages


def test_a_high_queue_that_stands_is_overuse_though_it_does_not_grow() -> None:
    detector = DelayDetector()
    feed(detector, [25.0] * 5)
    feed(detector, [25 + QUEUE_LIMIT_MS + 20] * 60, from_ms=200)
    assert detector.usage is PathUsage.OVERUSED
    assert detector.queue_ms > QUEUE_LIMIT_MS


def test_a_path_that_became_longer_is_learned_in_half_a_minute() -> None:
    detector = DelayDetector()
    feed(detector, [25.0] * 5)
    usages = feed(detector, [225.0] * 1000, from_ms=200)
    assert usages[100] is PathUsage.OVERUSED
    assert usages[-1] is PathUsage.NORMAL
    assert detector.queue_ms == 0


def test_packets_of_one_burst_are_one_group() -> None:
    detector = DelayDetector()
    for frame in range(50):  # four packets at once each 40 ms, spread by the link
        for index in range(4):
            sent_ms = 40.0 * frame + index
            detector.add(
                SentPacket(
                    number=4 * frame + index,
                    size_bytes=1200,
                    sent_ms=sent_ms,
                    arrived_ms=40.0 * frame + 25 + 9 * index,
                )
            )
    assert detector.usage is PathUsage.NORMAL


def test_after_a_restart_the_slope_is_measured_anew() -> None:
    detector = DelayDetector()
    usages = feed(detector, [25.0] * 20 + [25 + 40.0 * n for n in range(1, 8)])
    assert usages[-1] is PathUsage.OVERUSED
    detector.restart()
    assert detector.usage is PathUsage.NORMAL


def test_a_lost_packet_says_nothing_and_a_pause_is_no_trend() -> None:
    detector = DelayDetector()
    detector.add(SentPacket(number=0, size_bytes=1, sent_ms=0))
    feed(detector, [25.0] * 20)
    feed(detector, [9_000.0], from_ms=900)
    usages = feed(detector, [25.0] * 30, from_ms=20_000)
    assert PathUsage.OVERUSED not in usages
