"""One continuous clock made of a source's timestamps, whatever they do. Pure."""

from __future__ import annotations

from enum import Enum

from stream.frame import CLOCK_HZ

MAX_GAP = 10 * CLOCK_HZ
"""A timestamp further ahead than this (1/90000 s) is a jump, not a pause in the content."""

MAX_STEP_BACK = CLOCK_HZ // 2
"""A timestamp further back than this (1/90000 s) is a jump; nearer ones are bad muxing."""


class Track(Enum):
    """The two elementary streams that share the clock."""

    VIDEO = "video"
    AUDIO = "audio"


class Timeline:
    """Maps timestamps of video and audio (1/90000 s) to one clock that starts at 0 and never jumps.

    Video comes out strictly increasing; both tracks keep their distance to each other. A jump
    (MPEG-TS discontinuity, a restarted publisher, a counter that wraps) moves the offset so that
    the track goes on where it was expected. The other track reaches the same jump a little later
    or has passed it: so the previous offset stays in use for timestamps that fit it better.
    """

    def __init__(self) -> None:
        self._base = 0
        self._offsets: list[int] = []  # newest first, at most two
        self._expected: dict[Track, int] = {}
        self._last_video = -1

    def start(self, origin: int | None) -> None:
        """Begin a (new) pass over the source: `origin`, its first timestamp, follows what was.

        With None the first timestamp placed is the origin. Used at every loop of a file.
        """
        self._base = max(self._expected.values(), default=0)
        self._offsets = [] if origin is None else [self._base - origin]
        self._expected = dict.fromkeys(self._expected, self._base)

    def place(self, track: Track, timestamp: int | None, *, duration: int) -> int:
        """The time of an item on the common clock; `duration` (>= 0) says when the next is due.

        None (no timestamp known) is placed where the track was expected to go on.
        """
        expected = self._expected.get(track)
        if timestamp is None:
            placed = self._base if expected is None else expected
        else:
            placed = self._anchored(timestamp, expected)
        if track is Track.VIDEO:
            placed = max(placed, self._last_video + 1)
            self._last_video = placed
        self._expected[track] = placed + duration
        return placed

    def _anchored(self, timestamp: int, expected: int | None) -> int:
        if not self._offsets:
            self._offsets = [(self._base if expected is None else expected) - timestamp]
        if expected is None:  # a track may begin long after the other: nothing to compare with
            return timestamp + self._offsets[0]
        # A track may pause for long (slides) as long as the other shows that time went on.
        newest = max(self._expected.values())
        plausible = [
            timestamp + offset
            for offset in self._offsets
            if timestamp + offset >= expected - MAX_STEP_BACK
            and timestamp + offset <= newest + MAX_GAP
        ]
        if not plausible:
            self._offsets = [expected - timestamp, *self._offsets[:1]]
            return expected
        return min(plausible, key=lambda placed: abs(placed - expected))
