"""One clock for the pictures and the sound of a peer, from RTP timestamps; reads no clock.

The zero is the first video frame. The two RTP clocks start at random values, so what belongs
together is told by RTCP sender reports (RFC 3550 section 6.4.1), and until both tracks have had
one, by the time of arrival.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from statistics import median

from stream.audio import SAMPLE_RATE_HZ, audio_pts
from stream.frame import CLOCK_HZ

JUMP_S = 10
"""A step of RTP time larger than this is a restarted source, not a pause."""

LATE_S = 0.5
"""A step back up to this is a late frame; a larger one is a source that starts over."""

AUDIO_STEP_MS = 15
"""Once in step by reports, sound is moved only when it is off by more: reports of live senders
scatter by some ms."""

UNBELIEVABLE_S = 5
"""Reports that put sound this far from the pictures it arrives with are wrong."""

_REPORTS_KEPT = 8
_FIRST_INTERVAL = CLOCK_HZ // 25  # until one was seen


class Track(Enum):
    """Which of the two RTP streams."""

    VIDEO = "video"
    AUDIO = "audio"


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderReport:
    """One moment on both clocks: 64-bit NTP time (32.32 fixed point) and RTP timestamp."""

    ntp: int
    rtp_timestamp: int


class RtpUnwrapper:
    """Turns 32-bit RTP timestamps into integers that do not wrap."""

    def __init__(self) -> None:
        self._last: int | None = None

    def unwrap(self, timestamp: int) -> int:
        """The value congruent to `timestamp` that is nearest to the one before."""
        if self._last is None:
            self._last = timestamp
        else:
            self._last += (timestamp - self._last + 0x80000000) % 0x100000000 - 0x80000000
        return self._last

    def near(self, timestamp: int) -> int:
        """As `unwrap`, without moving on."""
        if self._last is None:
            return timestamp
        return self._last + (timestamp - self._last + 0x80000000) % 0x100000000 - 0x80000000


class MediaClock:
    """Presentation times of one peer's video and audio; neither ever goes back."""

    def __init__(self) -> None:
        self._video = RtpUnwrapper()
        self._audio = RtpUnwrapper()
        self._video_shift: int | None = None  # pts = unwrapped RTP time + shift
        self._audio_shift: int | None = None
        self._is_reported = False  # whether _audio_shift comes from sender reports
        self._last_video: tuple[int, int, float] | None = None  # RTP time, pts, arrival
        self._last_audio_rtp: int | None = None
        self._audio_end: int | None = None
        self._interval = _FIRST_INTERVAL
        self._jumps = 0
        self._reports: dict[Track, SenderReport] = {}
        self._has_new_report = False
        self._measured: deque[int] = deque(maxlen=_REPORTS_KEPT)

    @property
    def jumps(self) -> int:
        """How often the pictures' timestamps have jumped; their pts went on without a gap."""
        return self._jumps

    def video(self, timestamp: int, *, arrived_ms: float) -> int | None:
        """The pts (1/90000 s) of a frame; None when it is older than the one before it."""
        rtp = self._video.unwrap(timestamp)
        if self._last_video is None or self._video_shift is None:
            self._video_shift = -rtp
        else:
            last_rtp, last_pts, _ = self._last_video
            step = rtp - last_rtp
            if -LATE_S * CLOCK_HZ <= step <= 0:
                return None
            if 0 < step <= JUMP_S * CLOCK_HZ:
                self._interval = step
            else:
                self._jumps += 1
                self._video_shift = last_pts + min(self._interval, CLOCK_HZ) - rtp
                self._forget_reports(Track.VIDEO)
        pts = rtp + self._video_shift
        self._last_video = (rtp, pts, arrived_ms)
        return pts

    def video_pts(self, timestamp: int) -> int | None:
        """The pts that the frame with this 32-bit RTP timestamp has or will have, if known."""
        if self._video_shift is None:
            return None
        return self._video.near(timestamp) + self._video_shift

    def audio(self, timestamp: int, *, samples: int, arrived_ms: float) -> int | None:
        """The pts (1/48000 s) of a chunk of `samples`.

        None before the first video frame, and where sound must be left out to stay in step.
        """
        if self._last_video is None:
            return None
        rtp = self._audio.unwrap(timestamp)
        by_arrival = self._shift_by_arrival(rtp, self._last_video, arrived_ms)
        step = 0 if self._last_audio_rtp is None else rtp - self._last_audio_rtp
        self._last_audio_rtp = rtp
        if self._has_new_report and len(self._reports) == len(Track):
            self._measure()
        if not -LATE_S * SAMPLE_RATE_HZ <= step <= JUMP_S * SAMPLE_RATE_HZ:
            self._forget_reports(Track.AUDIO)
            self._audio_shift = None
        if self._audio_shift is None:
            self._audio_shift, self._is_reported = by_arrival, False
        self._audio_shift = self._follow_reports(self._audio_shift, by_arrival)
        pts = rtp + self._audio_shift
        if self._audio_end is not None and pts < self._audio_end:
            return None
        self._audio_end = pts + samples
        return pts

    def sender_report(self, track: Track, report: SenderReport) -> None:
        """Take a sender report of either track."""
        if report.ntp:  # 0: the sender has no wall clock (RFC 3550 section 6.4.1)
            self._reports[track] = report
            self._has_new_report = True

    @staticmethod
    def _shift_by_arrival(rtp: int, video: tuple[int, int, float], arrived_ms: float) -> int:
        _, video_pts, video_arrived_ms = video
        later = round((arrived_ms - video_arrived_ms) * SAMPLE_RATE_HZ / 1000)
        return audio_pts(video_pts) + later - rtp

    def _measure(self) -> None:
        """What the newest pair of reports says `_audio_shift` should be.

        Not before both tracks have begun: many senders report once with their first packet, which
        is ahead of the first frame, and then not for seconds.
        """
        assert self._video_shift is not None  # sound before the first picture has no time
        self._has_new_report = False
        video, audio = self._reports[Track.VIDEO], self._reports[Track.AUDIO]
        video_pts = self._video.near(video.rtp_timestamp) + self._video_shift
        apart = ((audio.ntp - video.ntp) * SAMPLE_RATE_HZ + (1 << 31)) >> 32  # rounded
        self._measured.append(audio_pts(video_pts) + apart - self._audio.near(audio.rtp_timestamp))

    def _follow_reports(self, shift: int, by_arrival: int) -> int:
        if not self._measured:
            return shift
        wanted = round(median(self._measured))
        if abs(wanted - by_arrival) > UNBELIEVABLE_S * SAMPLE_RATE_HZ:
            return shift
        is_near = abs(wanted - shift) <= AUDIO_STEP_MS * SAMPLE_RATE_HZ // 1000
        if self._is_reported and is_near:
            return shift
        self._is_reported = True
        return wanted

    def _forget_reports(self, track: Track) -> None:
        self._reports.pop(track, None)
        self._measured.clear()
