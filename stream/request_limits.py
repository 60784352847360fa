"""Which requests of the other end are worth an answer, and how often to ask. Pure."""

from __future__ import annotations

from collections import OrderedDict

LONGEST_USE_MS = 1000.0
"""A packet older than this is of no use to any live receiver; ours gives up after 0.3 to 0.8 s."""

REMEMBERED_PACKETS = 1024
SHORTEST_KEYFRAME_MS = 100.0
"""Besides the round trip: a keyframe is coded and sent within two frame intervals."""

_REPEAT_SHARE = 1.0  # of a round trip: an answer cannot have been missed earlier


class RetransmissionLimit:
    """Which packets to send again: those still useful, each at most once in a round trip."""

    def __init__(self) -> None:
        self._sent_ms: OrderedDict[int, float] = OrderedDict()
        self._again_ms: dict[int, float] = {}

    def note_sent(self, sequence_number: int, *, now_ms: float) -> None:
        """A packet leaves for the first time."""
        self._sent_ms[sequence_number] = now_ms
        self._sent_ms.move_to_end(sequence_number)
        self._again_ms.pop(sequence_number, None)
        while len(self._sent_ms) > REMEMBERED_PACKETS:
            oldest, _ = self._sent_ms.popitem(last=False)
            self._again_ms.pop(oldest, None)

    def allows(self, sequence_number: int, *, rtt_ms: float, now_ms: float) -> bool:
        """Whether to send it again now; then it counts as sent again."""
        sent_ms = self._sent_ms.get(sequence_number)
        if sent_ms is None or now_ms + rtt_ms / 2 - sent_ms > LONGEST_USE_MS:
            return False
        again_ms = self._again_ms.get(sequence_number)
        if again_ms is not None and now_ms - again_ms < _REPEAT_SHARE * rtt_ms:
            return False
        self._again_ms[sequence_number] = now_ms
        return True


class KeyframeRequestLimit:
    """At most one keyframe request in a round trip; what was asked before is on its way."""

    def __init__(self) -> None:
        self._last_ms = -float("inf")

    def allows(self, *, rtt_ms: float, now_ms: float) -> bool:
        """Whether to pass a request on now; whoever still needs a keyframe asks again."""
        if now_ms - self._last_ms < rtt_ms + SHORTEST_KEYFRAME_MS:
            return False
        self._last_ms = now_ms
        return True
