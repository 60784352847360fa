"""The viewer: shows each picture a fixed time after it was taken, and the last one it has instead
of one that is missing or late. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Playout:
    """What a viewer saw. shown: for each source frame, in order, which number was on the screen;
    None while nothing had come yet. dropped: never came out; late: came out after its time.
    """

    shown: tuple[int | None, ...]
    dropped: int
    late: int

    @property
    def longest_freeze(self) -> int:
        """Source frames during which the same picture stood still, at most."""
        longest = run = 0
        previous: int | None = None
        for number in self.shown:
            run = run + 1 if number == previous else 1
            previous = number
            longest = max(longest, run)
        return longest


def play(
    fed_ms: Mapping[int, float], came_out_ms: Mapping[int, float], *, delay_ms: float
) -> Playout:
    """Show each of the frames in `fed_ms` `delay_ms` after it was fed.

    came_out_ms: when a number came out first. A viewer who has nothing yet sees the first picture
    that comes: a stream's start is not what is judged.
    """
    numbers = sorted(fed_ms)
    shown: list[int | None] = []
    arrivals = sorted((at_ms, number) for number, at_ms in came_out_ms.items())
    newest: int | None = None
    next_arrival = 0
    for number in numbers:
        due_ms = fed_ms[number] + delay_ms
        while next_arrival < len(arrivals) and arrivals[next_arrival][0] <= due_ms:
            arrived = arrivals[next_arrival][1]
            if arrived <= number:
                newest = arrived if newest is None else max(newest, arrived)
                next_arrival += 1
            else:
                break  # it is not due yet
        shown.append(newest)
    missing = [number for number in numbers if number not in came_out_ms]
    late = [
        number
        for number in numbers
        if number in came_out_ms and came_out_ms[number] > fed_ms[number] + delay_ms
    ]
    first = next((number for number in shown if number is not None), None)
    if first is not None:
        shown = [first if number is None else number for number in shown]
    return Playout(shown=tuple(shown), dropped=len(missing), late=len(late))
