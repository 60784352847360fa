"""A machine in simulated time: frames come, wait in a queue, and take as long as its load says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from decoder.governor import LONGEST_QUIET_MS, Governor

INTERVAL_MS = 40.0
LIVE_M, LIVE_S, LIVE_XS, LANCZOS = range(4)
COSTS_MS = (26.0, 14.0, 6.0, 2.0)
FADE_FRAMES = 3
BUFFER_FRAMES = 20


@dataclass
class Run:
    """What was shown: tier and delay (arrival to shown) of each frame, and what was lost."""

    tiers: list[int] = field(default_factory=list)
    delays_ms: list[float] = field(default_factory=list)
    dropped: int = 0

    @property
    def steps(self) -> list[tuple[int, int]]:
        return [(a, b) for a, b in pairwise(self.tiers) if a != b]

    def p95_ms(self, first: int = 0) -> float:
        ordered = sorted(self.delays_ms[first:])
        return ordered[int(0.95 * len(ordered))]


def simulate(
    slowness: Callable[[float, int], float],
    *,
    seconds: float,
    governor: Governor | None = None,
    burst_frames: int = 0,
    costs_ms: tuple[float, ...] = COSTS_MS,
) -> Run:
    """slowness: how many times longer a frame takes, by time in s and tier.

    burst_frames: so many come at once at the start.
    """
    governor = governor or Governor(len(COSTS_MS), costs_ms=COSTS_MS)
    run = Run()
    arrivals = [max(0.0, i - burst_frames) * INTERVAL_MS for i in range(int(seconds * 25))]
    now_ms, used, fading, taken = 0.0, governor.tier, 0, 0
    while taken < len(arrivals):
        now_ms = max(now_ms, arrivals[taken])
        waiting = sum(arrival <= now_ms for arrival in arrivals[taken + 1 : taken + 60])
        if waiting > BUFFER_FRAMES:
            run.dropped += waiting - BUFFER_FRAMES
            taken += waiting - BUFFER_FRAMES
            waiting = BUFFER_FRAMES
        tier = governor.choose(waiting=waiting, interval_ms=INTERVAL_MS, now_ms=now_ms)
        cost = costs_ms[tier] * slowness(now_ms / 1000, tier)
        if tier != used and governor.is_hurried:
            fading, used = 0, tier
        elif tier != used and fading == 0:
            fading, before, used = FADE_FRAMES, used, tier
        if fading:
            seconds_now = now_ms / 1000
            cost = costs_ms[before] * slowness(seconds_now, before)
            cost += costs_ms[used] * slowness(seconds_now, used)
        governor.note(cost, is_mixed=fading > 0)
        now_ms += cost
        fading = max(0, fading - 1)
        run.tiers.append(tier)
        run.delays_ms.append(now_ms - arrivals[taken])
        taken += 1
    return run


def test_a_machine_that_keeps_up_stays_at_the_best_tier() -> None:
    run = simulate(lambda _s, _tier: 1.0, seconds=60)
    assert set(run.tiers) == {LIVE_M}


def test_a_neighbour_on_half_the_cores_costs_tiers_but_no_frame_and_little_delay() -> None:
    run = simulate(lambda s, _tier: 2.0 if 10 <= s < 40 else 1.0, seconds=60)
    assert run.dropped == 0
    assert run.p95_ms() < 80
    assert max(run.tiers) == LIVE_S, "the next tier keeps up, so none below is used"
    assert set(run.tiers[20 * 25 : 40 * 25]) == {LIVE_S}, "no trying while it cannot work"
    assert run.tiers[-1] == LIVE_M
    assert len(run.steps) == 2


def test_a_slow_down_by_heat_steps_down_once_at_a_time_without_swinging() -> None:
    run = simulate(lambda s, _tier: 1.0 + s / 30, seconds=120)
    assert run.dropped == 0
    assert run.p95_ms() < 80
    assert run.tiers[-1] == LIVE_XS, "five times slower: live-s would take 70 of 40 ms"
    assert len(run.steps) <= 6
    assert all(abs(a - b) == 1 for a, b in run.steps)


def test_a_second_stream_that_comes_and_goes_is_made_room_for() -> None:
    def shared(s: float, _tier: int) -> float:
        return 2.2 if (int(s) // 15) % 2 else 1.0

    run = simulate(shared, seconds=90)
    assert run.dropped == 0
    assert run.p95_ms() < 80
    assert len(run.steps) <= 2 * 3 + 2


def test_a_machine_that_can_hardly_do_anything_goes_to_lanczos_at_once() -> None:
    run = simulate(lambda _s, tier: 1.0 if tier == LANCZOS else 12.0, seconds=20)
    assert run.dropped == 0
    assert run.steps[0] == (LIVE_M, LANCZOS)
    assert run.tiers.index(LANCZOS) < 3


def test_a_load_that_only_networks_feel_is_tried_less_and_less_often() -> None:
    """At Lanczos nothing tells that a network would be slow, so only trying shows it."""
    run = simulate(lambda _s, tier: 1.0 if tier == LANCZOS else 8.0, seconds=300)
    assert run.dropped == 0
    tries = [number for number, tier in enumerate(run.tiers) if tier != LANCZOS]
    begins = [b / 25 for a, b in pairwise(tries) if b - a > 1]
    gaps = [b - a for a, b in pairwise(begins)]
    assert all(later > earlier - 0.1 for earlier, later in pairwise(gaps))
    assert 1000 * gaps[-1] >= LONGEST_QUIET_MS / 2
    assert len(tries) < 0.03 * len(run.tiers)


def test_a_step_up_that_does_not_work_delays_few_frames() -> None:
    run = simulate(lambda _s, tier: 1.0 if tier == LANCZOS else 11.0, seconds=60)
    assert run.dropped == 0
    assert len(run.steps) > 4
    assert sum(delay > 80 for delay in run.delays_ms[50:]) < 0.02 * len(run.delays_ms)


def test_what_was_a_mistake_once_is_forgotten_after_a_long_quiet_time() -> None:
    def twice_at_first(s: float, tier: int) -> float:
        return 8.0 if s < 60 and tier != LANCZOS else 1.0

    run = simulate(twice_at_first, seconds=400)
    assert run.tiers[-1] == LIVE_M
    again = simulate(
        lambda s, _tier: 2.0 if 5 <= s < 8 else 1.0, seconds=30, governor=_that_has(run)
    )
    assert again.tiers[-1] == LIVE_M


def _that_has(run: Run) -> Governor:
    """A governor that has lived through failed steps up and quiet since."""
    del run
    governor = Governor(len(COSTS_MS), costs_ms=COSTS_MS)
    for number in range(25 * 300):
        governor.choose(waiting=0, interval_ms=INTERVAL_MS, now_ms=number * INTERVAL_MS - 3e5)
        governor.note(COSTS_MS[governor.tier])
    return governor


def test_a_burst_from_the_network_is_worked_off_at_the_best_tier() -> None:
    run = simulate(lambda _s, _tier: 0.6, seconds=10, burst_frames=8)
    assert run.dropped == 0
    assert set(run.tiers) == {LIVE_M}


def test_a_burst_that_nearly_fills_the_buffer_is_worked_off_by_lanczos() -> None:
    run = simulate(lambda _s, _tier: 1.0, seconds=20, burst_frames=19)
    assert run.dropped == 0
    assert LANCZOS in run.tiers[:3]
    assert run.tiers[-1] == LIVE_M


def test_single_slow_frames_change_nothing() -> None:
    run = simulate(lambda s, _tier: 2.5 if int(s * 25) % 50 == 0 else 1.0, seconds=60)
    assert set(run.tiers) == {LIVE_M}


@pytest.mark.parametrize("at_s", [0.0, 5.0])
def test_one_very_slow_frame_changes_nothing(at_s: float) -> None:
    """The first one, or one that another process held up: what waits is soon worked off."""
    run = simulate(lambda s, _tier: 6.0 if at_s <= s < at_s + 0.04 else 1.0, seconds=10)
    assert run.dropped == 0
    assert set(run.tiers) == {LIVE_M}
    assert run.p95_ms() < 80


def test_a_tier_that_just_keeps_up_is_gone_back_to_after_a_stall() -> None:
    """32 of 40 ms: more than a tier that is chosen anew may take, but it has held for 10 s."""

    def stalled(s: float, tier: int) -> float:
        if 10 <= s < 11:
            return 12.0
        if tier == LANCZOS:
            return 1.3 if s > 10 else 1.0  # noise, of a tier that takes next to nothing
        return 1.25 if tier == LIVE_M else 1.0

    run = simulate(stalled, seconds=60, governor=Governor(len(COSTS_MS)))
    assert run.dropped == 0
    assert LANCZOS in run.tiers
    assert set(run.tiers[30 * 25 :]) == {LIVE_M}


def test_costs_that_nobody_measured_are_learned() -> None:
    run = simulate(
        lambda s, _tier: 2.0 if 10 <= s < 40 else 1.0, seconds=120, governor=Governor(len(COSTS_MS))
    )
    assert run.dropped == 0
    assert run.tiers[-1] == LIVE_M


@pytest.mark.parametrize("busy_s", [1, 3, 8])
def test_a_machine_that_is_busy_when_a_first_stream_begins_gets_its_tier_back(busy_s: int) -> None:
    """Nothing was ever measured, and the first frames are slower than the stream."""

    def busy(s: float, tier: int) -> float:
        return 1.0 if tier == LANCZOS or s >= busy_s else 3.0

    run = simulate(busy, seconds=30, governor=Governor(len(COSTS_MS)))
    assert run.dropped == 0
    assert max(run.tiers) > LIVE_M
    assert set(run.tiers[25 * (busy_s + 16) :]) == {LIVE_M}


def test_no_network_is_tried_while_resizing_alone_takes_most_of_the_time() -> None:
    """Others leave a tenth of a core, and nothing was ever measured: a try would stand for long."""
    run = simulate(
        lambda s, _tier: 13.0 if s < 60 else 1.0,
        seconds=120,
        governor=Governor(len(COSTS_MS)),
    )
    busy = run.tiers[25 * 5 : 25 * 60]
    assert set(busy) == {LANCZOS}
    assert run.p95_ms(25 * 20) < 80
    assert run.tiers[-1] == LIVE_M


def test_a_machine_of_one_core_shows_lanczos_and_seldom_tries() -> None:
    """The network fits alone, but not beside the codecs on the same core."""
    run = simulate(
        lambda _s, tier: 1.0 if tier == 1 else 43 / 33,
        seconds=240,
        governor=Governor(2, costs_ms=(33.0, 1.0)),
        costs_ms=(33.0, 1.0),
    )
    assert run.dropped == 0
    assert run.p95_ms(25 * 20) < 80
    tries = sum(a == 1 for a, _ in run.steps[1:])
    assert tries <= 8
    assert set(run.tiers[-25 * 30 :]) != {0}


def test_only_a_settled_last_tier_is_the_bottom() -> None:
    governor = Governor(2)
    assert not governor.is_at_bottom
    bottom: list[bool] = []
    for number in range(12):
        governor.choose(waiting=15, interval_ms=INTERVAL_MS, now_ms=10.0 * number)
        bottom.append(governor.is_at_bottom)
    assert governor.tier == 1
    assert bottom == sorted(bottom)
    assert sum(bottom) > 3
    assert Governor(1).is_at_bottom


def test_no_tiers_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Governor(0)
