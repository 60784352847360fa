"""The codec's bitrate: what was asked for, unless the path proves that it cannot carry it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.rate_control import (
    AUTO_START_BPS,
    MAX_PAYLOAD_BYTES,
    PACKET_OVERHEAD_BYTES,
    PathReport,
    RateController,
)
from encoder.video_encoder import MAX_BITRATE_BPS, MIN_BITRATE_BPS

FPS = 25.0
STEP_MS = 40.0


class _Path:
    """Feeds a controller one report a frame and keeps what it aims at."""

    def __init__(self, wanted_bps: int | None) -> None:
        self.control = RateController(wanted_bps)
        self.now_ms = 0.0
        self.wire_bps: list[int] = []

    def run(self, seconds: float, **report: float) -> int:
        """Report the same for so long; the last target."""
        for _ in range(round(seconds * 1000 / STEP_MS)):
            self.now_ms += STEP_MS
            path = PathReport(**report)  # type: ignore[arg-type] # ints and floats as they are
            self.control.codec_bitrate_bps(path, frame_rate=FPS, now_ms=self.now_ms)
            self.wire_bps.append(self.control.wire_bps)
        return self.wire_bps[-1]


def test_packets_with_their_headers_stay_on_the_wanted_wire_rate() -> None:
    for wanted_bps in (60_000, 150_000, 1_000_000):
        codec_bps = RateController(wanted_bps).codec_bitrate_bps(
            PathReport(), frame_rate=FPS, now_ms=0
        )
        frame_bytes = codec_bps / FPS / 8
        packets = -(-frame_bytes // MAX_PAYLOAD_BYTES)
        assert (frame_bytes + packets * PACKET_OVERHEAD_BYTES) * 8 * FPS <= wanted_bps + 200


def test_an_explicit_bitrate_is_kept_on_a_good_path_whatever_the_estimate_does() -> None:
    path = _Path(150_000)
    for estimate_bps in (127_000, 60_000, 400_000, 90_000):  # as jitter makes REMB jump
        path.run(4, estimate_bps=estimate_bps, sent_bps=140_000, rtt_ms=2)
    assert set(path.wire_bps) == {150_000}


def test_loss_makes_a_low_estimate_count_at_once() -> None:
    path = _Path(150_000)
    path.run(2, estimate_bps=300_000)
    assert path.run(2 * STEP_MS / 1000, estimate_bps=90_000, packets_lost=3) == 90_000


def test_a_queue_on_the_path_makes_a_low_estimate_count_when_it_lasts() -> None:
    path = _Path(150_000)
    path.run(2, estimate_bps=300_000, rtt_ms=20)
    assert path.run(1, estimate_bps=90_000, rtt_ms=400) == 150_000
    assert path.run(1, estimate_bps=90_000, rtt_ms=400) == 90_000


def test_a_dip_during_trouble_does_not_pull_the_rate_below_what_the_path_carried() -> None:
    path = _Path(150_000)
    path.run(2, estimate_bps=300_000, rtt_ms=20)
    path.run(2, estimate_bps=100_000, rtt_ms=400)
    path.run(0.5, estimate_bps=40_000, rtt_ms=400)
    assert path.run(0.5, estimate_bps=100_000, rtt_ms=400) == 100_000


def test_after_trouble_the_rate_climbs_back_in_few_steps() -> None:
    path = _Path(150_000)
    path.run(1, estimate_bps=300_000)
    path.run(1, estimate_bps=60_000, packets_lost=9)
    del path.wire_bps[:]
    assert path.run(30, estimate_bps=50_000, packets_lost=9) == 150_000  # an estimate that sticks
    assert path.wire_bps == sorted(path.wire_bps)
    assert len(set(path.wire_bps)) <= 6  # each raise may cost a keyframe


def test_a_path_that_recovers_gets_the_wanted_rate_back_at_once() -> None:
    path = _Path(150_000)
    path.run(1, estimate_bps=300_000)
    path.run(1, estimate_bps=60_000, packets_lost=9)
    assert path.run(3, estimate_bps=300_000, packets_lost=9) == 150_000


def test_auto_starts_carefully_and_follows_the_estimate_up() -> None:
    path = _Path(None)
    assert path.run(1) == AUTO_START_BPS
    path.run(6, estimate_bps=1_000_000, sent_bps=290_000)
    assert path.wire_bps[-1] == 850_000


def test_auto_follows_a_lasting_low_estimate_down() -> None:
    path = _Path(None)
    path.run(1, estimate_bps=400_000, sent_bps=290_000)
    assert path.run(3, estimate_bps=100_000, sent_bps=290_000) == 85_000


def test_auto_does_not_spiral_down_when_the_estimate_only_mirrors_what_was_sent() -> None:
    path = _Path(None)
    for _ in range(200):
        path.run(0.2, estimate_bps=round(0.85 * path.control.wire_bps), sent_bps=290_000)
    assert path.wire_bps[-1] == AUTO_START_BPS


@given(
    wanted_bps=st.none() | st.integers(MIN_BITRATE_BPS, MAX_BITRATE_BPS),
    reports=st.lists(
        st.tuples(
            st.none() | st.integers(0, 2**40),
            st.integers(-5, 1000),
            st.none() | st.floats(0, 1e5),
            st.floats(0, 1e8),
            st.floats(0, 5000),
        ),
        max_size=30,
    ),
    frame_rate=st.floats(1, 240),
)
def test_whatever_a_peer_reports_the_target_stays_in_range(
    wanted_bps: int | None,
    reports: list[tuple[int | None, int, float | None, float, float]],
    frame_rate: float,
) -> None:
    control, now_ms = RateController(wanted_bps), 0.0
    for estimate_bps, packets_lost, rtt_ms, sent_bps, elapsed_ms in reports:
        now_ms += elapsed_ms
        path = PathReport(
            estimate_bps=estimate_bps, packets_lost=packets_lost, rtt_ms=rtt_ms, sent_bps=sent_bps
        )
        codec_bps = control.codec_bitrate_bps(path, frame_rate=frame_rate, now_ms=now_ms)
        assert MIN_BITRATE_BPS <= codec_bps <= (wanted_bps or MAX_BITRATE_BPS)


def test_raises_are_two_seconds_apart() -> None:
    path = _Path(None)
    path.run(1, estimate_bps=200_000, sent_bps=290_000)
    changed_ms: list[float] = []
    for step in range(200):
        before = path.control.wire_bps
        path.run(STEP_MS / 1000, estimate_bps=400_000 + 20_000 * step, sent_bps=290_000)
        if path.control.wire_bps != before:
            changed_ms.append(path.now_ms)
    assert len(changed_ms) >= 3
    assert min(b - a for a, b in pairwise(changed_ms)) == pytest.approx(2000, abs=STEP_MS)


def test_the_senders_own_estimate_counts_at_once_and_instead_of_all_others() -> None:
    path = _Path(150_000)
    path.run(2, estimate_bps=40_000, link_bps=400_000, packets_lost=9, rtt_ms=900)
    assert set(path.wire_bps) == {150_000}
    assert path.run(STEP_MS / 1000, link_bps=100_000) == 95_000
    assert path.run(1, link_bps=400_000) == 150_000


@pytest.mark.parametrize("wanted_bps", [None, 500_000])
def test_the_own_estimate_is_followed_up_in_worthwhile_steps(wanted_bps: int | None) -> None:
    path = _Path(wanted_bps)
    path.run(1, link_bps=100_000)
    changed_ms: list[float] = []
    for step in range(200):
        before = path.control.wire_bps
        path.run(STEP_MS / 1000, link_bps=100_000 + 1000 * step)
        if path.control.wire_bps != before:
            changed_ms.append(path.now_ms)
    assert 8 <= len(changed_ms) <= 16
    assert min(b - a for a, b in pairwise(changed_ms)) >= 500 - STEP_MS
