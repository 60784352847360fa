from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from decoder.governor import SETTLE_FRAMES
from decoder.load import DEFAULT_INTERVAL_MS, Load
from stream.frame import CLOCK_HZ
from tests.tiny_artefact import textured_frame


@dataclass
class _Restorer:
    """Says what a Restorer would, and keeps what it is told."""

    tiers: tuple[str, ...] = ("live-s-x2", "live-xs-x2", "lanczos")
    tier_costs_ms: Mapping[str, float] = field(default_factory=dict)
    is_changing_tier: bool = False
    used: int = 0

    def use_tier(self, index: int, *, is_hurried: bool = False) -> None:
        del is_hurried
        self.used = index


def _play(
    load: Load,
    restorer: _Restorer,
    frames: int,
    *,
    took_ms: float,
    waiting: int = 0,
    first: int = 0,
    fps: int = 25,
) -> int:
    """Frames of a stream, one after the other; how many of them were to be skipped."""
    skipped = 0
    for number in range(first, first + frames):
        now_ms = number * 1000 / fps
        skipped += load.excess(
            wait_ms=waiting * 40.0, waiting=waiting, now_ms=now_ms, has_overflowed=waiting > 5
        )
        frame = textured_frame(0, pts=number * CLOCK_HZ // fps)
        load.choose_tier(restorer, frame, waiting=waiting, now_ms=now_ms)
        load.note(restorer, took_ms=took_ms)
    return skipped


def test_frames_are_dropped_only_when_lanczos_is_too_slow_as_well() -> None:
    load, restorer = Load(), _Restorer()
    assert _play(load, restorer, SETTLE_FRAMES, took_ms=100.0, waiting=8) == 0
    assert restorer.used == 2
    assert _play(load, restorer, 10, took_ms=100.0, waiting=8, first=SETTLE_FRAMES) > 10


def test_without_a_network_frames_are_dropped_at_once() -> None:
    load, restorer = Load(), _Restorer(tiers=("lanczos",))
    assert _play(load, restorer, 5, took_ms=100.0, waiting=8) > 5


def test_the_interval_is_that_of_most_frames() -> None:
    load, restorer = Load(), _Restorer()
    assert load.interval_ms == DEFAULT_INTERVAL_MS
    _play(load, restorer, 20, took_ms=1.0, fps=50)
    assert load.interval_ms == pytest.approx(20)
    _play(load, restorer, 3, took_ms=1.0, first=1000, fps=50)  # after a loss
    assert load.interval_ms == pytest.approx(20)


def test_the_time_that_a_change_of_tier_takes_says_nothing_about_the_tier() -> None:
    load, restorer = Load(), _Restorer()
    _play(load, restorer, SETTLE_FRAMES, took_ms=5.0)
    restorer.is_changing_tier = True
    _play(load, restorer, 3, took_ms=400.0, first=SETTLE_FRAMES)
    restorer.is_changing_tier = False
    _play(load, restorer, 1, took_ms=400.0, first=SETTLE_FRAMES + 3)
    _play(load, restorer, 20, took_ms=5.0, first=SETTLE_FRAMES + 4)
    assert restorer.used == 0


def test_other_networks_are_tried_from_the_best_on() -> None:
    load, restorer = Load(), _Restorer()
    _play(load, restorer, 10, took_ms=100.0, waiting=8)
    assert restorer.used == 2
    restorer.tiers = ("live-xs-x4", "lanczos")
    _play(load, restorer, 1, took_ms=5.0, first=10)
    assert restorer.used == 0
