import json
from pathlib import Path

import pytest

from benchmarks.fec_choice import (
    LOSS_RATIOS,
    ROUND_TRIPS_MS,
    measure,
    packets_of_video,
    with_protection,
    with_retransmissions,
)

RESULT = Path(__file__).parent.parent / "benchmarks" / "results" / "fec-choice.json"


def test_without_loss_everything_comes_and_only_protection_costs() -> None:
    packets = packets_of_video(1, 200)
    lossless = {"loss_ratio": 0.0, "rtt_ms": 50.0, "seed": 1}
    came, extra_bytes = with_retransmissions(packets, **lossless)  # type: ignore[arg-type]  # floats
    assert (len(came), extra_bytes) == (len(packets), 0)
    came, extra_bytes = with_protection(packets, 4, **lossless)  # type: ignore[arg-type]  # floats
    assert len(came) == len(packets)
    assert extra_bytes > 0.2 * sum(packet.size_bytes for packet in packets)


def test_what_is_lost_in_a_group_comes_back_if_it_is_the_only_one() -> None:
    packets = packets_of_video(1, 400)
    half = {"loss_ratio": 0.1, "rtt_ms": 50.0, "seed": 1}
    few, many = (
        len(with_protection(packets, group, **half)[0])  # type: ignore[arg-type]  # floats
        for group in (12, 2)
    )
    assert 0.9 * len(packets) < few < many < len(packets)


def test_a_thin_stream_is_served_better_by_retransmissions_for_a_fraction_of_the_bytes() -> None:
    asked, protected = (
        measure(group, loss_ratio=0.05, rtt_ms=100.0, frames=1500) for group in (None, 4)
    )
    assert asked.intact_percent > protected.intact_percent
    assert asked.overhead_percent < 0.3 * protected.overhead_percent


def test_that_was_so_for_every_loss_and_round_trip_when_it_was_measured() -> None:
    rows = json.loads(RESULT.read_text())["figures"]["rows"]
    for loss_ratio in LOSS_RATIOS:
        for rtt_ms in ROUND_TRIPS_MS:
            same = {
                row["group"]: row
                for row in rows
                if row["loss_percent"] == pytest.approx(100 * loss_ratio)
                and row["round_trip_ms"] == rtt_ms
            }
            asked = same.pop(None)
            for protected in same.values():
                assert asked["intact_percent"] >= protected["intact_percent"]
                assert asked["overhead_percent"] < protected["overhead_percent"]
