"""What is shown in place of damaged pictures. Pure.

After a loss that no retransmission mended, a decoder predicts from a picture that it does not have,
until a keyframe comes: a round trip and two frames later. For so long the last good picture stays;
if it takes longer, movement with faults is better than none.
"""

from __future__ import annotations

from stream.frame import CLOCK_HZ, Frame

LONGEST_HOLD = 2 * CLOCK_HZ // 5
"""In 1/90000 s: with the wait for the retransmission before it, a freeze of half a second."""


class Concealment:
    """Takes the frames as they are decoded, in order."""

    def __init__(self) -> None:
        self._good_pts: int | None = None  # of the last frame before the damage
        self._shows_damage = False

    def judge(self, frame: Frame) -> tuple[bool, bool]:
        """(is held, is mended).

        Held: the last good picture is to be shown in place of this one, and its features are not to
        be used for others. Mended: it is the first good frame after damaged ones that were shown,
        so it has nothing to do with them.
        """
        if frame.is_damaged:
            since = None if self._good_pts is None else frame.pts - self._good_pts
            is_held = since is not None and 0 < since <= LONGEST_HOLD
            self._shows_damage |= not is_held
            return is_held, False
        self._good_pts = frame.pts
        was_damaged, self._shows_damage = self._shows_damage, False
        return False, was_damaged
