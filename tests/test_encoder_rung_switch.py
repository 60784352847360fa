from encoder.ladder import Ladder
from encoder.rung_switch import (
    DOWN_HOLD_MS,
    DOWN_PATIENCE_MS,
    SHORTEST_STAY_MS,
    UP_HOLD_MS,
    UP_PATIENCE_MS,
    RungSwitch,
)

FRAME_MS = 40.0
LADDER = Ladder()
LIMIT_BPS = LADDER.limits_bps(1)[0]
"""Below it rung 0, above it rung 1."""


class _Stream:
    """A switch fed at 25 frames a second."""

    def __init__(self, bitrate_bps: float) -> None:
        self.switch = RungSwitch(LADDER, bitrate_bps)
        self.now_ms = 0.0

    def run(self, bitrate_bps: float, duration_ms: float, *, cut_at_ms: float = -1) -> list[int]:
        rungs = []
        for index in range(round(duration_ms / FRAME_MS)):
            is_cut = index == round(cut_at_ms / FRAME_MS)
            rungs.append(self.switch.update(bitrate_bps, is_cut=is_cut, now_ms=self.now_ms))
            self.now_ms += FRAME_MS
        return rungs


def test_it_begins_on_the_rung_of_its_rate_and_stays_there() -> None:
    stream = _Stream(1.5 * LIMIT_BPS)
    assert set(stream.run(1.5 * LIMIT_BPS, 30_000, cut_at_ms=9000)) == {1}


def test_a_rate_that_wobbles_around_a_limit_changes_nothing() -> None:
    stream = _Stream(LIMIT_BPS)
    rungs = {
        rung
        for _ in range(20)
        for share in (1.1, 0.9)
        for rung in stream.run(share * LIMIT_BPS, 900)
    }
    assert rungs == {0}


def test_a_short_drop_is_sat_out() -> None:
    stream = _Stream(1.5 * LIMIT_BPS)
    assert set(stream.run(0.7 * LIMIT_BPS, DOWN_HOLD_MS - 100, cut_at_ms=400)) == {1}
    assert set(stream.run(1.5 * LIMIT_BPS, 20_000)) == {1}


def test_a_rate_that_stays_low_changes_the_rung_at_the_next_cut() -> None:
    stream = _Stream(1.5 * LIMIT_BPS)
    rungs = stream.run(0.7 * LIMIT_BPS, 2000, cut_at_ms=1600)
    assert rungs.index(0) == 1600 / FRAME_MS


def test_without_a_cut_it_changes_when_patience_ends() -> None:
    stream = _Stream(1.5 * LIMIT_BPS)
    rungs = stream.run(0.7 * LIMIT_BPS, 10_000)
    assert rungs.index(0) * FRAME_MS == DOWN_HOLD_MS + DOWN_PATIENCE_MS


def test_it_goes_up_later_than_it_goes_down() -> None:
    stream = _Stream(0.8 * LIMIT_BPS)
    rungs = stream.run(1.5 * LIMIT_BPS, 20_000)
    assert rungs.index(1) * FRAME_MS == UP_HOLD_MS + UP_PATIENCE_MS


def test_a_collapse_is_followed_at_once_by_as_many_rungs_as_it_takes() -> None:
    stream = _Stream(3 * LADDER.limits_bps(LADDER.top)[0])
    assert stream.run(0.1 * LIMIT_BPS, 100) == [0, 0]


def test_after_a_change_it_stays_for_a_while_even_at_a_cut() -> None:
    stream = _Stream(1.5 * LIMIT_BPS)
    assert stream.run(0.1 * LIMIT_BPS, 80) == [0, 0]
    rungs = stream.run(1.5 * LIMIT_BPS, UP_HOLD_MS + 400, cut_at_ms=UP_HOLD_MS + 200)
    assert set(rungs) == {0}
    assert SHORTEST_STAY_MS > UP_HOLD_MS + 200
