"""One continuous output time over sessions that each start anew. Pure."""

from __future__ import annotations

from stream.frame import CLOCK_HZ

DEFAULT_INTERVAL = CLOCK_HZ // 25
MAX_STEP = 10 * CLOCK_HZ


class OutputTimeline:
    """Maps a session's pts (1/90000 s) to the output's, which never goes backwards.

    A publisher that comes back after a break goes on after as long a gap as it was away. Sound is
    mapped by the same shift, so lips stay in sync.
    """

    def __init__(self) -> None:
        self._shift = 0
        self._last_out: int | None = None
        self._last_in = 0
        self._last_ms = 0.0
        self._is_new = True

    def start_session(self) -> None:
        """The next frame belongs to another session."""
        self._is_new = True

    def map(self, pts: int, *, now_ms: float) -> int:
        """Output pts of a frame; strictly larger than the last one."""
        if self._last_out is None:
            self._shift = -pts
        else:
            is_jump = not 0 < pts - self._last_in <= MAX_STEP
            if self._is_new or is_jump:
                away = round((now_ms - self._last_ms) * CLOCK_HZ / 1000)
                away = away if self._is_new else DEFAULT_INTERVAL
                self._shift = self._last_out + max(DEFAULT_INTERVAL, away) - pts
        out = pts + self._shift
        self._is_new = False
        self._last_out, self._last_in, self._last_ms = out, pts, now_ms
        return out

    @property
    def shift(self) -> int:
        """Added to a pts of the current session, in 1/90000 s."""
        return self._shift
