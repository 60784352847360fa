"""The estimator over emulated paths: steps, ramps, bufferbloat, competition, loss, jitter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.link import Path, PathConfig, constant_rate, parse_rate_trace
from stream.bandwidth_estimator import BandwidthEstimator
from stream.twcc_history import SentPacket
from tests.emulated_flow import START_MS, Events, Flow, LossBasedFlow, flow_over


def thin(rate: str, **others: float) -> PathConfig:
    settings: dict[str, float] = {"delay_ms": 25, "queue_ms": 1000} | others
    return PathConfig(rate=parse_rate_trace(rate), **settings)  # type: ignore[arg-type] # floats


@pytest.mark.parametrize("loss_ratio", [0.0, 0.03])
def test_after_the_link_halves_less_is_sent_within_a_second_and_recovered_within_ten(
    loss_ratio: float,
) -> None:
    flow = flow_over(thin("300k,15:150k,30:300k", loss_ratio=loss_ratio, seed=4), seconds=45)
    assert flow.kbps(5, 15) > 225
    assert flow.kbps(16, 17) < 150
    assert flow.mean_delay_ms(18, 30) < 25 + 90
    assert 110 < flow.kbps(18, 30) < 150
    assert flow.first_above(270 * (1 - loss_ratio), after_s=30) < 40


@pytest.mark.parametrize("kbps", [60, 150, 500, 2000])
def test_a_constant_link_is_used_and_its_queue_kept_short(kbps: int) -> None:
    flow = flow_over(thin(f"{kbps}k"), seconds=30)
    assert 0.75 * kbps < flow.kbps(15, 30) <= kbps
    assert flow.mean_delay_ms(15, 30) < 25 + 25 + 4 * 1200 * 8 / kbps / 2


def test_a_wide_link_is_found_by_probes_in_seconds_without_filling_it() -> None:
    flow = flow_over(thin("5M", queue_ms=300), seconds=12)
    assert flow.first_above(2500, after_s=0) < 8
    assert flow.mean_delay_ms(0, 12) < 50


def test_bufferbloat_is_not_filled() -> None:
    flow = flow_over(thin("1M", queue_ms=4000), seconds=25)
    assert flow.kbps(5, 25) > 700
    assert max(delay for at_ms, delay in flow.delays_ms if at_ms > START_MS + 5000) < 400


@pytest.mark.parametrize("loss_ratio", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("burst_packets", [1.0, 3.0])
def test_chance_losses_do_not_take_the_rate_away(loss_ratio: float, burst_packets: float) -> None:
    path = thin("300k", loss_ratio=loss_ratio, burst_packets=burst_packets)
    assert flow_over(path, seconds=40).kbps(10, 40) > 0.6 * 300


def test_a_short_queue_that_drops_is_not_overrun_for_long() -> None:
    flow = flow_over(thin("300k", queue_ms=40), seconds=40)
    assert flow.kbps(10, 40) < 1.1 * 300
    assert flow.kbps(10, 40) > 0.75 * 300


def test_a_sender_that_has_little_to_send_does_not_talk_its_estimate_down() -> None:
    path = thin("1M", jitter_ms=40.0)
    flow = flow_over(path, seconds=30, start_bps=300_000, limit_bps=60_000, stall_ms=150)
    assert min(moment.target_kbps for moment in flow.moments if moment.at_s > 5) > 100


def test_heavy_losses_without_any_delay_do() -> None:
    path = PathConfig(delay_ms=25, loss_ratio=0.35, seed=2)
    flow = flow_over(path, seconds=20, start_bps=1_000_000)
    assert flow.kbps(15, 20) < 0.7 * 1000


@pytest.mark.parametrize("jitter_ms", [10.0, 30.0])
def test_jitter_is_no_congestion(jitter_ms: float) -> None:
    assert flow_over(thin("300k", jitter_ms=jitter_ms), seconds=30).kbps(10, 30) > 0.7 * 300


def test_a_rate_below_the_link_is_left_alone_whatever_the_jitter() -> None:
    flow = flow_over(
        PathConfig(delay_ms=25, jitter_ms=30, loss_ratio=0.03),
        seconds=30,
        start_bps=180_000,
        max_bps=200_000,
        limit_bps=150_000,
    )
    assert min(moment.target_kbps for moment in flow.moments) >= 150


@pytest.mark.parametrize("stall_ms", [150.0, 400.0])
def test_a_receiver_that_waits_for_a_processor_is_no_congestion(stall_ms: float) -> None:
    flow = flow_over(thin("300k"), seconds=40, stall_ms=stall_ms)
    assert flow.kbps(10, 40) > 0.75 * 300
    flow = flow_over(thin("300k,10:150k,20:300k"), seconds=40, stall_ms=stall_ms)
    assert flow.kbps(12, 20) < 150
    assert flow.kbps(32, 40) > 0.75 * 300


def test_a_rate_that_slowly_goes_down_and_up_is_followed() -> None:
    flow = flow_over(thin("300k,10:300k,20~100k,25:100k,35~300k"), seconds=45)
    assert flow.kbps(21, 25) < 100
    assert flow.kbps(21, 25) > 55
    assert flow.mean_delay_ms(10, 25) < 150
    assert flow.kbps(40, 45) > 200


def test_an_outage_is_survived() -> None:
    flow = flow_over(thin("300k,10:0,12:300k", queue_ms=500), seconds=25)
    assert flow.kbps(15, 25) > 200


def test_two_flows_share_a_link_and_its_queue_stays_short() -> None:
    events = Events()
    path = Path(thin("600k"), now_ms=START_MS)
    back = Path(PathConfig(delay_ms=25), now_ms=START_MS)
    flows: list[Flow] = []

    def join() -> None:
        estimator = BandwidthEstimator(start_bps=300_000, min_bps=30_000, max_bps=5_000_000)
        flows.append(Flow(events, path, back, estimator, seed=len(flows)))

    events.at(START_MS, join)
    events.at(START_MS + 15_000, join)
    events.run(START_MS + 60_000)
    first, second = (flow.kbps(30, 60) for flow in flows)
    assert first + second > 0.7 * 600
    assert min(first, second) > 0.2 * 600
    assert flows[0].mean_delay_ms(30, 60) < 120


def test_room_is_made_for_traffic_that_does_not_yield() -> None:
    events = Events()
    path = Path(thin("300k"), now_ms=START_MS)
    back = Path(PathConfig(delay_ms=25), now_ms=START_MS)
    estimator = BandwidthEstimator(start_bps=280_000, min_bps=30_000, max_bps=5_000_000)
    flow = Flow(events, path, back, estimator)

    def intrude() -> None:
        path.send(500, now_ms=events.now_ms)  # 100 kb/s
        events.at(events.now_ms + 40, intrude)

    events.at(START_MS + 10_000, intrude)
    events.run(START_MS + 25_000)
    assert 120 < flow.kbps(13, 25) < 200
    assert flow.mean_delay_ms(13, 25) < 130


def test_beside_a_download_that_fills_the_queue_it_yields_and_comes_back() -> None:
    events = Events()
    path = Path(thin("600k", queue_ms=200), now_ms=START_MS)
    back = Path(PathConfig(delay_ms=25), now_ms=START_MS)
    estimator = BandwidthEstimator(start_bps=300_000, min_bps=30_000, max_bps=5_000_000)
    flow = Flow(events, path, back, estimator)
    download = LossBasedFlow(events, path, from_s=15, until_s=35)
    events.run(START_MS + 50_000)
    assert flow.kbps(10, 15) > 400
    assert download.kbps(20, 35) > 300
    assert flow.kbps(20, 35) >= 25  # what it may always send
    assert flow.kbps(45, 50) > 350


@pytest.mark.parametrize("seed", range(3))
def test_a_path_whose_width_is_known_is_not_tried_again_and_again_beyond_it(seed: int) -> None:
    flow = flow_over(thin("300k,10:150k", seed=seed), seconds=40)
    late = [moment.target_kbps for moment in flow.moments if moment.at_s > 15]
    assert max(late) < 1.05 * 150
    assert flow.kbps(15, 40) > 0.9 * 150


def test_probes_are_few_once_the_link_is_known() -> None:
    flow = flow_over(PathConfig(rate=constant_rate(300_000), delay_ms=25), seconds=60)
    assert flow.probes <= 14


def test_a_queue_is_drained_before_the_rate_comes_back() -> None:
    flow = flow_over(thin("300k,10:150k"), seconds=12)
    during = [moment for moment in flow.moments if 10.3 < moment.at_s < 11.5]
    assert any(m.estimate.target_bps < 0.9 * m.estimate.estimate_bps for m in during)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1_000_000),
            st.floats(-1e7, 1e7),
            st.none() | st.floats(-1e9, 1e9),
            st.none() | st.integers(0, 3),
        ),
        max_size=60,
    ),
    st.floats(0, 1e5),
)
def test_no_feedback_breaks_the_estimate_or_leaves_its_range(
    packets: list[tuple[int, float, float | None, int | None]], rtt_ms: float
) -> None:
    estimator = BandwidthEstimator(start_bps=300_000, min_bps=30_000, max_bps=1_000_000)
    for number, (size, sent_ms, arrived_ms, probe) in enumerate(packets):
        packet = SentPacket(
            number=number, size_bytes=size, sent_ms=sent_ms, arrived_ms=arrived_ms, probe=probe
        )
        estimate = estimator.update([packet], rtt_ms=rtt_ms, now_ms=100.0 * number)
        assert 30_000 <= estimate.target_bps <= estimate.estimate_bps <= 1_000_000
