"""Media playlists of HLS, with and without low latency (draft-pantos-hls-rfc8216bis). Pure.

A playlist only ever grows at its end and loses at its front; its target durations never change.
Every period (a stretch without a gap) has its own initialization section, and starts with a
discontinuity.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from stream.frame import CLOCK_HZ

VERSION = 6
"""EXT-X-MAP for segments with pictures of all kinds needs version 6 (section 8)."""

PARTS_LISTED_S = 3
"""Parts are listed for the newest 3 target durations (section 4.4.4.9): nobody joins before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HlsPart:
    """A partial segment; duration in 1/90000 s."""

    uri: str
    duration: int
    is_independent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HlsPeriod:
    """What is played without a gap. number: of the discontinuity in front of it, from 0 on.

    began: wall-clock time (with zone) of its first picture, whose pts is `first_pts`.
    """

    number: int
    map_uri: str
    began: datetime
    first_pts: int = 0


@dataclass(slots=True, kw_only=True)
class HlsSegment:
    """A segment, complete or growing; `uri` is empty while it grows. Times in 1/90000 s."""

    sequence: int
    period: HlsPeriod
    start: int
    duration: int = 0
    uri: str = ""
    parts: list[HlsPart] = field(default_factory=list)

    @property
    def date_time(self) -> datetime:
        """Wall-clock time of its first picture."""
        return self.period.began + timedelta(
            seconds=(self.start - self.period.first_pts) / CLOCK_HZ
        )


class HlsPlaylist:
    """The segments of one stream, newest last; at most `segments_listed` complete ones.

    part_target_s: longest part; None for a playlist without low latency.
    """

    def __init__(
        self,
        *,
        target_s: int,
        segments_listed: int,
        first_sequence: int = 0,
        part_target_s: float | None = None,
    ) -> None:
        self.target_s, self.part_target_s = target_s, part_target_s
        self._segments_listed = segments_listed
        self._next_sequence = first_sequence
        self._segments: deque[HlsSegment] = deque()
        self._growing: HlsSegment | None = None
        self._first_period = 0
        self.has_ended = False

    @property
    def next_position(self) -> tuple[int, int]:
        """Media sequence number and number of the part that comes next."""
        if self._growing is None:
            return self._next_sequence, 0
        return self._growing.sequence, len(self._growing.parts)

    @property
    def can_start(self) -> bool:
        """Whether a player can begin: some want a whole segment, and all stay behind the end."""
        listed = sum(segment.duration for segment in self._listed)
        return bool(self._segments) and listed >= self._hold_back_s * CLOCK_HZ

    @property
    def _listed(self) -> list[HlsSegment]:
        return [*self._segments, *([self._growing] if self._growing is not None else [])]

    @property
    def _hold_back_s(self) -> float:
        """How far behind the end players stay, at least: three parts (section 4.4.3.8)."""
        return 3 * (self.part_target_s or 0.0)

    def add_part(self, part: HlsPart, *, period: HlsPeriod, start: int) -> None:
        """A part of the growing segment, which begins with it if there was none."""
        if self._growing is None:
            self._growing = HlsSegment(sequence=self._next_sequence, period=period, start=start)
        self._growing.parts.append(part)
        self._growing.duration += part.duration

    def add_segment(self, uri: str, *, period: HlsPeriod, start: int, duration: int) -> None:
        """A complete segment in one piece."""
        self._complete(
            HlsSegment(
                sequence=self._next_sequence,
                period=period,
                start=start,
                duration=duration,
                uri=uri,
            )
        )

    def complete_segment(self, uri: str) -> None:
        """The growing segment, if there is one, is complete; `uri` is all its parts in one."""
        growing, self._growing = self._growing, None
        if growing is not None:
            growing.uri = uri
            self._complete(growing)

    def end(self) -> None:
        """Nothing more will come."""
        self.has_ended = True

    def text(self) -> str:
        """The playlist as it is now."""
        lines = ["#EXTM3U", f"#EXT-X-VERSION:{VERSION}", f"#EXT-X-TARGETDURATION:{self.target_s}"]
        if self.part_target_s is not None:
            # Section 4.4.3.8: PART-HOLD-BACK should be at least three times the part target.
            lines += [
                f"#EXT-X-PART-INF:PART-TARGET={self.part_target_s:.3f}",
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,"
                f"PART-HOLD-BACK={self._hold_back_s:.3f}",
            ]
        listed = self._listed
        first = listed[0].sequence if listed else self._next_sequence
        period = listed[0].period.number if listed else self._first_period
        lines += [
            f"#EXT-X-MEDIA-SEQUENCE:{first}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{period}",
            "#EXT-X-INDEPENDENT-SEGMENTS",
        ]
        previous: HlsPeriod | None = None
        end = sum(segment.duration for segment in listed)
        for segment in listed:
            end -= segment.duration
            lines += self._segment_lines(segment, previous, behind=end)
            previous = segment.period
        if self.has_ended:
            lines.append("#EXT-X-ENDLIST")
        elif self.part_target_s is not None and listed:
            sequence, part = self.next_position
            lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{part_uri(sequence, part)}"')
        return "\n".join(lines) + "\n"

    def _segment_lines(
        self, segment: HlsSegment, previous: HlsPeriod | None, *, behind: int
    ) -> list[str]:
        """behind: how much is listed after the segment, in 1/90000 s."""
        lines: list[str] = []
        if segment.period is not previous:
            if previous is not None:
                lines.append("#EXT-X-DISCONTINUITY")
            lines.append(f'#EXT-X-MAP:URI="{segment.period.map_uri}"')
        when = segment.date_time.isoformat(timespec="milliseconds")
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{when}")
        if behind < PARTS_LISTED_S * self.target_s * CLOCK_HZ:
            for part in segment.parts:
                independent = ",INDEPENDENT=YES" if part.is_independent else ""
                lines.append(
                    f"#EXT-X-PART:DURATION={part.duration / CLOCK_HZ:.5f},"
                    f'URI="{part.uri}"{independent}'
                )
        if segment.uri:
            lines += [f"#EXTINF:{segment.duration / CLOCK_HZ:.5f},", segment.uri]
        return lines

    def _complete(self, segment: HlsSegment) -> None:
        self._segments.append(segment)
        self._next_sequence = segment.sequence + 1
        if len(self._segments) > self._segments_listed:
            self._segments.popleft()


def segment_uri(sequence: int) -> str:
    """File name of a complete segment."""
    return f"segment_{sequence}.m4s"


def part_uri(sequence: int, part: int) -> str:
    """File name of a part."""
    return f"segment_{sequence}.{part}.m4s"


def map_uri(sequence: int) -> str:
    """File name of the initialization section of the period that starts with a segment."""
    return f"header_{sequence}.mp4"


def target_duration_s(segment_s: int, longest_interval_s: float) -> int:
    """EXT-X-TARGETDURATION where segments end at the first picture after `segment_s`.

    A segment's duration, rounded to the nearest second, may not be above it (section 4.4.3.1).
    """
    return int(segment_s + longest_interval_s + 0.5)
