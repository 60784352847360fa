"""When the one encoder of many viewers makes a keyframe. Pure.

Each keyframe costs every viewer bits. So those who ask at the same time share one, and a viewer
whose link keeps losing pictures gets them ever more seldom; the others never notice.
"""

from __future__ import annotations

from dataclasses import dataclass

SHORTEST_INTERVAL_MS = 400.0
"""Between two keyframes: a viewer that joins right after one waits no longer than this."""

FIRST_PENALTY_MS, LONGEST_PENALTY_MS = 1000.0, 16_000.0
"""How long a viewer waits before it may cause another keyframe: doubled each time."""

FORGIVEN_AFTER_MS = 30_000.0


@dataclass(slots=True)
class _Asker:
    penalty_ms: float
    next_ms: float


class KeyframeGate:
    """Asked before each frame; time never goes backwards."""

    def __init__(self) -> None:
        self._askers: dict[object, _Asker] = {}
        self._waiting: set[object] = set()
        self._last_ms = -float("inf")

    def request(self, viewer: object, *, now_ms: float) -> None:
        """A viewer cannot go on without a keyframe; it may say so as often as it likes."""
        asker = self._askers.get(viewer)
        if asker is None or now_ms >= asker.next_ms:
            self._waiting.add(viewer)

    def take(self, *, now_ms: float) -> bool:
        """Whether the frame that comes now is to be a keyframe; it is taken to become one."""
        if not self._waiting or now_ms - self._last_ms < SHORTEST_INTERVAL_MS:
            return False
        for viewer in self._waiting:
            known = self._askers.get(viewer)
            if known is None or now_ms - known.next_ms > FORGIVEN_AFTER_MS:
                penalty_ms = FIRST_PENALTY_MS
            else:
                penalty_ms = min(LONGEST_PENALTY_MS, 2 * known.penalty_ms)
            self._askers[viewer] = _Asker(penalty_ms, now_ms + penalty_ms)
        self._waiting.clear()
        self._last_ms = now_ms
        return True

    def forget(self, viewer: object) -> None:
        """The viewer has left."""
        self._askers.pop(viewer, None)
        self._waiting.discard(viewer)
