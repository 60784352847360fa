"""Goes from one tier of restoration to another within a stream, without a visible step. Pure.

For `FADE_FRAMES` frames both tiers restore, and what is shown moves from the one to the other in
equal steps. Every frame in still gives exactly one out, in order, also when the tiers look ahead
by different numbers of frames. A machine that is far too slow for both goes over at once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from decoder.tier_stream import Done, Tier
from stream.frame import Frame, Plane

FADE_FRAMES = 3
"""Frames that are mixed of both tiers: a change of sharpness over 120 ms is not seen as a jump."""


class TierSwitch:
    """One stream's frames through the tier that is in use. Not thread-safe."""

    def __init__(self, tier: Tier) -> None:
        self._tier = tier
        self._fade: _Fade | None = None
        self._pending: deque[_Taken] = deque()  # frames in that have not come out

    @property
    def tier(self) -> Tier:
        """In use, or on its way to be."""
        return self._tier

    @property
    def is_fading(self) -> bool:
        """Whether two tiers are at work."""
        return self._fade is not None

    def use(self, tier: Tier) -> None:
        """Fade to `tier`, one that no frame has been through, from the next frame on.

        Raises ValueError while the last change is not over.
        """
        if self._fade is not None:
            raise ValueError("one change of tier at a time")
        self._fade, self._tier = _Fade(self._tier, held=len(self._pending)), tier

    def cut(self, tier: Tier) -> list[Done]:
        """Go over to `tier` at once, for a machine that has no time to compute both.

        Frames that still wait are restored by it, too; those that are finished now, in order.
        """
        pending, self._pending = self._pending, deque()
        self._fade, self._tier = None, tier
        done: list[Done] = []
        for taken in pending:
            done += self.push(taken.frame, starts_scene=taken.starts_scene, is_held=taken.is_held)
        return done

    def push(self, frame: Frame, *, starts_scene: bool, is_held: bool = False) -> list[Done]:
        """As `Tier.push`, with whichever tiers are at work."""
        taken = _Taken(frame=frame, starts_scene=starts_scene, is_held=is_held)
        self._pending.append(taken)
        done = self._fade.push(taken) if self._fade else []
        finished = self._tier.push(frame, starts_scene=starts_scene, is_held=is_held)
        return self._out(done + self._mixed(finished))

    def flush(self) -> list[Done]:
        """Those that still wait for a future; a change of tier is then over."""
        done = self._fade.flush() if self._fade else []
        done += self._mixed(self._tier.flush())
        self._fade = None
        return self._out(done)

    def _out(self, done: list[Done]) -> list[Done]:
        for _ in done:
            self._pending.popleft()
        return done

    def _mixed(self, finished: list[Done]) -> list[Done]:
        if self._fade is None:
            return finished
        done = self._fade.mix(finished)
        if self._fade.is_over:
            self._fade = None
        return done


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Taken:
    frame: Frame
    starts_scene: bool
    is_held: bool


class _Fade:
    """The tier that is left, and its frames that wait for their likes of the new tier."""

    def __init__(self, old: Tier, *, held: int) -> None:
        """held: frames of before the change that the old tier still has to give."""
        self._old: Tier | None = old
        self._held = held
        self._pushed = self._mixed = 0
        self._finished: deque[Done] = deque()  # by the old tier
        self._unmixed: deque[Done] = deque()  # by the new tier

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to mix."""
        return self._mixed == FADE_FRAMES and not self._unmixed

    def push(self, taken: _Taken) -> list[Done]:
        """Let the old tier restore it too; its frames of before the change that are finished."""
        if self._old is None:
            return []
        finished = self._old.push(
            taken.frame, starts_scene=taken.starts_scene, is_held=taken.is_held
        )
        done = self._leading(finished)
        self._pushed += 1
        if self._pushed == FADE_FRAMES:  # it need not wait for a future: the new tier counts more
            done += self.flush()
        return done

    def flush(self) -> list[Done]:
        """As `push`, of what waits for a future in the old tier, which is then not needed."""
        old, self._old = self._old, None
        return [] if old is None else self._leading(old.flush())

    def mix(self, finished: list[Done]) -> list[Done]:
        """The frames of the new tier, the first ones mixed with the old tier's."""
        self._unmixed += finished
        done = []
        while self._unmixed and (self._finished or self._mixed == FADE_FRAMES):
            new = self._unmixed.popleft()
            if self._mixed < FADE_FRAMES:
                self._mixed += 1
                old = self._finished.popleft()
                if new.fate != "held":  # else there is no picture of either
                    new = _mix(old, new, quarters=self._mixed)
            done.append(new)
        return done

    def _leading(self, finished: list[Done]) -> list[Done]:
        count = min(self._held, len(finished))
        self._held -= count
        self._finished += finished[count:]
        return finished[:count]


def _mix(old: Done, new: Done, *, quarters: int) -> Done:
    """`quarters` of four parts of the new picture, the rest of the old one; all else is new's."""
    y, u, v = (
        _mix_planes(before, after, quarters)
        for before, after in (
            (old.frame.y, new.frame.y),
            (old.frame.u, new.frame.u),
            (old.frame.v, new.frame.v),
        )
    )
    return replace(new, frame=replace(new.frame, y=y, u=u, v=v))


def _mix_planes(before: Plane, after: Plane, quarters: int) -> Plane:
    total = before.astype(np.uint16)
    total *= 4 - quarters
    total += after.astype(np.uint16) * np.uint16(quarters)
    total += 2
    total >>= 2
    mixed: Plane = total.astype(np.uint8)
    return mixed
