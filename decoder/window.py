"""The sliding window over a live stream: which frames each reference is restored from. Pure.

A window of N positions has its reference at position N-1-L, where L is the lookahead the network
was trained with. Where a wished neighbour does not exist (stream start and end, another scene, a
frame without features, a future that is not waited for) the nearest one of the same scene that
does is repeated.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(Generic[T]):
    """One reference and what it is restored from, oldest first; the items may repeat.

    items is empty when the reference itself is unusable.
    """

    reference: T
    items: tuple[T, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot(Generic[T]):
    item: T
    is_usable: bool


class SlidingWindow(Generic[T]):
    """Items in, in order; exactly one window out for each, in order, up to `lookahead` later.

    size: positions of the window (N); reference_index: the position that is restored (N-1-L);
    lookahead: how many future items to wait for, 0 to N-1-reference_index: less than the network
    was trained with lowers the delay, and the missing future is the newest item repeated.
    Raises ValueError when these do not fit.
    """

    def __init__(self, *, size: int, reference_index: int, lookahead: int) -> None:
        if not 0 <= reference_index < size or not 0 <= lookahead <= size - 1 - reference_index:
            raise ValueError(
                f"no window of {size} has its reference at {reference_index} and"
                f" a lookahead of {lookahead}"
            )
        self._size = size
        self._reference_index = reference_index
        self._lookahead = lookahead
        self._ring: deque[_Slot[T]] = deque()
        self._next = 0  # index in the ring of the next reference

    def push(
        self, item: T, *, starts_scene: bool = False, is_usable: bool = True
    ) -> list[Window[T]]:
        """Add the newest item; the windows that are complete now, at most lookahead + 1.

        starts_scene: it has nothing to do with the items before it, which need not wait any more.
        is_usable: whether other references may be restored from it.
        """
        done = self.flush() if starts_scene else []
        self._ring.append(_Slot(item=item, is_usable=is_usable))
        while len(self._ring) - self._next > self._lookahead:
            done.append(self._advance())
        return done

    def flush(self) -> list[Window[T]]:
        """The windows still waiting for a future that will not come; then starts a new scene."""
        done = []
        while self._next < len(self._ring):
            done.append(self._advance())
        self._ring.clear()
        self._next = 0
        return done

    def _advance(self) -> Window[T]:
        reference = self._ring[self._next]
        items: tuple[T, ...] = ()
        if reference.is_usable:
            first = self._next - self._reference_index
            items = tuple(self._nearest(first + i) for i in range(self._size))
        self._next += 1
        while self._next > self._reference_index:  # no later reference reaches this far back
            self._ring.popleft()
            self._next -= 1
        return Window(reference=reference.item, items=items)

    def _nearest(self, wished: int) -> T:
        """The usable item closest to `wished` on the way from there to the reference."""
        newest = min(len(self._ring) - 1, self._next + self._lookahead)
        index = min(max(wished, 0), newest)
        step = 1 if index < self._next else -1
        while not self._ring[index].is_usable:
            index += step  # ends at the reference at the latest, which is usable
        return self._ring[index].item
