from __future__ import annotations

import json
from itertools import pairwise

import pytest

from benchmarks.link import Path, PathConfig, constant_rate, parse_rate_trace
from stream.errors import ConfigError

PACKET_BYTES = 1250  # 10 kbit: 100 ms at 100 kb/s


def arrivals(config: PathConfig, count: int, *, every_ms: float) -> list[float | None]:
    path = Path(config, now_ms=0)
    return [path.send(PACKET_BYTES, now_ms=index * every_ms) for index in range(count)]


def test_a_packet_takes_the_time_of_its_bits_and_the_delay() -> None:
    config = PathConfig(rate=constant_rate(100_000), delay_ms=30)
    assert arrivals(config, 3, every_ms=200) == pytest.approx([130, 330, 530])


def test_packets_queue_behind_each_other_until_the_queue_is_full() -> None:
    config = PathConfig(rate=constant_rate(100_000), queue_ms=250)
    assert arrivals(config, 5, every_ms=0) == [100, 200, 300, None, None]


def test_a_link_without_a_rate_only_delays() -> None:
    assert arrivals(PathConfig(delay_ms=5), 3, every_ms=0) == [5, 5, 5]


def test_jitter_delays_but_never_reorders() -> None:
    config = PathConfig(delay_ms=10, jitter_ms=30, seed=4)
    times = [at for at in arrivals(config, 500, every_ms=2) if at is not None]
    extra = [at - 2 * index - 10 for index, at in enumerate(times)]
    assert len(times) == 500
    assert all(later >= earlier for earlier, later in pairwise(times))
    assert min(extra) >= 0
    assert 20 < max(extra) <= 30


@pytest.mark.parametrize("burst_packets", [1.0, 4.0])
def test_losses_come_as_often_and_in_runs_as_long_as_asked_for(burst_packets: float) -> None:
    config = PathConfig(loss_ratio=0.05, burst_packets=burst_packets, seed=7)
    lost = [at is None for at in arrivals(config, 40_000, every_ms=1)]
    runs = sum(now and not before for before, now in pairwise([False, *lost]))
    assert sum(lost) / len(lost) == pytest.approx(0.05, abs=0.006)
    assert sum(lost) / runs == pytest.approx(burst_packets, rel=0.1)


def test_a_seed_repeats_its_losses_and_another_does_not() -> None:
    first, again, other = (
        arrivals(PathConfig(loss_ratio=0.1, seed=seed), 200, every_ms=1) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_the_rate_follows_its_trace_from_where_that_is_restarted() -> None:
    path = Path(PathConfig(rate=parse_rate_trace("100k,1:50k"), queue_ms=1e6), now_ms=5000)
    assert path.send(PACKET_BYTES, now_ms=5000) == pytest.approx(5100)
    assert path.send(PACKET_BYTES, now_ms=6500) == pytest.approx(6700)
    path.restart_trace(now_ms=7000)
    assert path.send(PACKET_BYTES, now_ms=7000) == pytest.approx(7100)


def test_an_outage_drops_what_its_queue_cannot_hold_and_then_goes_on() -> None:
    path = Path(PathConfig(rate=parse_rate_trace("100k,1:0,2:100k"), queue_ms=200), now_ms=0)
    assert path.send(PACKET_BYTES, now_ms=1000) == pytest.approx(2100)
    assert path.send(PACKET_BYTES, now_ms=1500) is None
    assert path.send(PACKET_BYTES, now_ms=2050) == pytest.approx(2200)
    path.configure(PathConfig(rate=constant_rate(0)))
    assert path.send(PACKET_BYTES, now_ms=2300) is None
    path.configure(PathConfig())
    assert path.send(PACKET_BYTES, now_ms=2400) == 2400


def test_the_record_says_what_was_sent_and_what_became_of_it() -> None:
    path = Path(PathConfig(rate=constant_rate(100_000), queue_ms=150), now_ms=1000)
    for _ in range(4):
        path.send(PACKET_BYTES, now_ms=1010)
    path.configure(PathConfig(loss_ratio=0.999))
    path.send(PACKET_BYTES, now_ms=1300)
    first, second, third, fourth = path.intervals()
    assert (first.at_ms, second.at_ms, third.at_ms, fourth.at_ms) == (0, 100, 200, 300)
    assert (first.sent_packets, first.sent_bytes, first.dropped_packets) == (4, 5000, 2)
    assert first.wait_ms == pytest.approx(200)
    assert (first.arrived_bytes, second.arrived_bytes, third.arrived_bytes) == (0, 1250, 1250)
    assert (fourth.lost_packets, fourth.arrived_bytes) == (1, 0)


def test_settings_survive_the_way_to_another_process() -> None:
    config = PathConfig(rate=parse_rate_trace("300k,3~200k"), loss_ratio=0.01, seed=9)
    for each in (config, PathConfig()):
        assert PathConfig.from_json(json.loads(json.dumps(each.to_json()))) == each


@pytest.mark.parametrize(
    "wrong",
    [
        {"queue_ms": 0},
        {"delay_ms": -1},
        {"jitter_ms": -1},
        {"loss_ratio": 1},
        {"loss_ratio": -0.1},
        {"burst_packets": 0.5},
    ],
)
def test_a_path_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        PathConfig(**wrong)  # type: ignore[arg-type]  # one of several float fields
