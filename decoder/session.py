"""One publisher's buffers, as the pipeline of its stream sees them."""

from __future__ import annotations

from dataclasses import dataclass

from stream.audio import AudioChunk
from stream.buffer import LatestBuffer
from stream.frame import CLOCK_HZ, Frame

SHORTEST_IDLE_S, LONGEST_IDLE_S = 0.25, 1.0
"""Without a new frame for this long (or twice the time between the last two, if that lies within)
waiting ones are shown without their future."""


@dataclass(slots=True, kw_only=True)
class Session:
    """Changed only by the pipeline's thread. overflow: what `video` had dropped when last asked."""

    video: LatestBuffer[Frame]
    audio: LatestBuffer[AudioChunk]
    overflow: int = 0
    last: Frame | None = None
    idle_s: float = SHORTEST_IDLE_S

    def note(self, frame: Frame) -> None:
        """Remember the newest frame; silence is then measured by its distance to the last."""
        if self.last is not None:
            twice_s = 2 * (frame.pts - self.last.pts) / CLOCK_HZ
            self.idle_s = max(SHORTEST_IDLE_S, min(LONGEST_IDLE_S, twice_s))
        self.last = frame
