import itertools

from decoder.viewing.keyframe_gate import (
    FIRST_PENALTY_MS,
    FORGIVEN_AFTER_MS,
    SHORTEST_INTERVAL_MS,
    KeyframeGate,
)


def keyframe_times(
    gate: KeyframeGate, viewers: tuple[str, ...], *, until_ms: float, from_ms: float = 0
) -> list[float]:
    """When keyframes are made while all of `viewers` ask before each frame, 25 times a second."""
    times = []
    now_ms = from_ms
    while now_ms < until_ms:
        for viewer in viewers:
            gate.request(viewer, now_ms=now_ms)
        if gate.take(now_ms=now_ms):
            times.append(now_ms)
        now_ms += 40
    return times


def test_nobody_asks_nothing_is_made() -> None:
    assert keyframe_times(KeyframeGate(), (), until_ms=10_000) == []


def test_a_first_request_is_granted_at_once_and_only_once() -> None:
    gate = KeyframeGate()
    gate.request("a", now_ms=0)
    assert gate.take(now_ms=0)
    assert not gate.take(now_ms=5000)


def test_those_who_join_together_share_one() -> None:
    gate = KeyframeGate()
    for viewer in range(20):
        gate.request(viewer, now_ms=0)
    assert gate.take(now_ms=1)
    assert not gate.take(now_ms=10_000)


def test_one_who_joins_right_after_a_keyframe_waits_less_than_half_a_second() -> None:
    gate = KeyframeGate()
    gate.request("a", now_ms=0)
    assert gate.take(now_ms=0)
    gate.request("b", now_ms=1)
    assert not gate.take(now_ms=1 + SHORTEST_INTERVAL_MS / 2)
    assert gate.take(now_ms=SHORTEST_INTERVAL_MS)


def test_a_viewer_that_keeps_losing_pictures_gets_them_ever_more_seldom() -> None:
    times = keyframe_times(KeyframeGate(), ("lossy",), until_ms=60_000)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert times[0] == 0
    assert gaps[0] >= FIRST_PENALTY_MS
    assert gaps == sorted(gaps)
    assert len(times) < 9


def test_a_lossy_viewer_does_not_delay_another_ones_first_picture() -> None:
    gate = KeyframeGate()
    keyframe_times(gate, ("lossy",), until_ms=5000)
    gate.request("new", now_ms=5000)
    assert gate.take(now_ms=5000 + SHORTEST_INTERVAL_MS)


def test_old_losses_are_forgiven_and_those_who_leave_forgotten() -> None:
    gate = KeyframeGate()
    keyframe_times(gate, ("a", "b"), until_ms=20_000)
    gate.forget("b")
    later_ms = 20_000 + 2 * FORGIVEN_AFTER_MS
    first, second = keyframe_times(gate, ("a",), from_ms=later_ms, until_ms=later_ms + 1500)
    assert (first, second - first) == (later_ms, FIRST_PENALTY_MS)
    gate.request("b", now_ms=later_ms + 1500)
    assert gate.take(now_ms=later_ms + 1500)
