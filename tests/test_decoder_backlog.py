"""A model of a queue in front of a restorer, without threads or clocks."""

from collections import deque
from dataclasses import dataclass

import pytest

from decoder.backlog import Backlog

INTERVAL_MS = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """waits_ms: of each restored frame, with the time at which it was begun."""

    waits_ms: list[tuple[float, float]]
    skipped: int
    backlog: Backlog

    def longest_ms(self, *, after_ms: float = 0.0) -> float:
        return max(wait for now, wait in self.waits_ms if now >= after_ms)


def _simulate(
    arrivals_ms: list[float],
    *,
    frame_ms: float,
    capacity: int = 20,
    stall: tuple[float, float] = (0, 0),
) -> _Run:
    """Restore frames that take `frame_ms` each; nothing happens from stall[0] for stall[1] ms."""
    backlog, queue, waits = Backlog(), deque[float](), []
    coming = deque(arrivals_ms)
    now_ms, skipped, overflow = 0.0, 0, 0
    while coming or queue:
        if stall[0] <= now_ms < stall[0] + stall[1]:
            now_ms = stall[0] + stall[1]
        if not queue:
            now_ms = max(now_ms, coming[0])
        overflowed = False
        while coming and coming[0] <= now_ms:
            queue.append(coming.popleft())
            if len(queue) > capacity:
                queue.popleft()
                overflow += 1
                overflowed = True
        first = queue.popleft()
        excess = backlog.excess(
            wait_ms=now_ms - first, waiting=len(queue), now_ms=now_ms, has_overflowed=overflowed
        )
        for _ in range(excess):
            first = queue.popleft()
        skipped += excess
        waits.append((now_ms, now_ms - first))
        now_ms += frame_ms
    return _Run(waits_ms=waits, skipped=skipped + overflow, backlog=backlog)


def _steady(count: int, *, first_ms: float = 0.0) -> list[float]:
    return [first_ms + INTERVAL_MS * index for index in range(count)]


def test_a_restorer_that_keeps_up_loses_nothing() -> None:
    run = _simulate(_steady(500), frame_ms=35)
    assert run.skipped == 0


def test_a_burst_is_worked_off_without_loss() -> None:
    run = _simulate([400.0] * 15 + _steady(200, first_ms=440), frame_ms=20)
    assert run.skipped == 0


def test_a_short_stall_is_caught_up_without_loss() -> None:
    run = _simulate(_steady(300), frame_ms=25, stall=(2000, 500))
    assert run.skipped == 0
    assert run.longest_ms(after_ms=4000) < INTERVAL_MS


@pytest.mark.parametrize("frame_ms", [45, 60, 100, 200])
def test_a_restorer_that_is_too_slow_skips_frames_and_its_delay_stays_bounded(
    frame_ms: float,
) -> None:
    run = _simulate(_steady(1500), frame_ms=frame_ms)
    lost_share = 1 - INTERVAL_MS / frame_ms
    assert run.skipped / 1500 == pytest.approx(lost_share, abs=0.06)
    # A frame in work, one that waits, and some that pile up until the backlog is seen to stand.
    assert run.longest_ms(after_ms=3000) <= 100 + 3 * max(frame_ms, INTERVAL_MS)
    assert run.longest_ms() <= 20 * INTERVAL_MS + frame_ms


def test_what_stands_without_growing_is_cut_too() -> None:
    """A restorer exactly as fast as the stream would carry a start-up burst along for ever."""
    run = _simulate([0.0] * 10 + _steady(500), frame_ms=INTERVAL_MS)
    assert 5 <= run.skipped <= 12
    assert run.longest_ms(after_ms=3000) <= 2 * INTERVAL_MS


def test_it_recovers_when_restoration_becomes_fast_enough() -> None:
    run = _simulate(_steady(200), frame_ms=80)
    assert run.backlog.is_behind
    for index in range(100):
        now_ms = 30_000 + INTERVAL_MS * index
        assert run.backlog.excess(wait_ms=1, waiting=0, now_ms=now_ms) == 0
    assert run.backlog.excess(wait_ms=90, waiting=5, now_ms=34_100) == 0  # a burst again


def test_an_overflow_of_the_buffer_says_at_once_that_it_is_behind() -> None:
    backlog = Backlog()
    assert backlog.excess(wait_ms=800, waiting=19, now_ms=0, has_overflowed=True) == 18
