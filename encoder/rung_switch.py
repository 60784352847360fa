"""When the rung changes: not at every wobble of the rate, and where it is seen least. Pure.

A change of size costs a keyframe, so it waits for a scene cut, which costs one anyway. It does not
wait for ever: above all a rate that has fallen makes a picture that is too large worse each second.
"""

from __future__ import annotations

import math

from encoder.ladder import Ladder

UP_MARGIN, DOWN_MARGIN = 1.15, 0.87
"""A rate must be this far beyond a limit: rate control moves by as much without meaning it."""

UP_HOLD_MS, DOWN_HOLD_MS = 4000.0, 1000.0
"""And stay there for so long. Too small a picture is only less
sharp, too large a one falls apart."""

UP_PATIENCE_MS, DOWN_PATIENCE_MS = 8000.0, 2000.0
"""How much longer to wait for a scene cut."""

COLLAPSE = 0.5
"""Below this share of the lower limit nothing is waited for."""

SHORTEST_STAY_MS = 5000.0
"""Between two changes, unless the rate collapses."""


class RungSwitch:
    """Fed each frame, in order; time never goes backwards."""

    def __init__(self, ladder: Ladder, bitrate_bps: float) -> None:
        """bitrate_bps: video bits a second to begin with."""
        self._ladder = ladder
        self._rung = ladder.rung_for(bitrate_bps)
        self._goes_up: bool | None = None  # where to, if anywhere; since when
        self._since_ms = 0.0
        self._changed_ms = -math.inf

    @property
    def rung(self) -> int:
        """Index of the rung in use."""
        return self._rung

    def follow(self, ladder: Ladder) -> None:
        """From now on by other limits of the same rungs."""
        self._ladder = ladder

    def update(self, bitrate_bps: float, *, is_cut: bool, now_ms: float) -> int:
        """The rung for this frame, given the rate aimed at and whether the frame begins a shot."""
        low_bps, high_bps = self._ladder.limits_bps(self._rung)
        if bitrate_bps > UP_MARGIN * high_bps:
            goes_up, wanted = True, self._ladder.rung_for(bitrate_bps / UP_MARGIN)
        elif bitrate_bps <= DOWN_MARGIN * low_bps:
            goes_up, wanted = False, self._ladder.rung_for(bitrate_bps / DOWN_MARGIN)
        else:
            self._goes_up = None
            return self._rung
        if goes_up is not self._goes_up:
            self._goes_up, self._since_ms = goes_up, now_ms
        has_collapsed = bitrate_bps <= COLLAPSE * low_bps
        if has_collapsed or self._is_time(goes_up, is_cut=is_cut, now_ms=now_ms):
            self._rung, self._goes_up, self._changed_ms = wanted, None, now_ms
        return self._rung

    def _is_time(self, goes_up: bool, *, is_cut: bool, now_ms: float) -> bool:
        if now_ms - self._changed_ms < SHORTEST_STAY_MS:
            return False
        hold_ms = UP_HOLD_MS if goes_up else DOWN_HOLD_MS
        patience_ms = UP_PATIENCE_MS if goes_up else DOWN_PATIENCE_MS
        waited_ms = now_ms - self._since_ms
        return waited_ms >= hold_ms + patience_ms or (is_cut and waited_ms >= hold_ms)
