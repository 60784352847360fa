from __future__ import annotations

import pytest

from stream.congestion_control import SILENCE_MS, CongestionControl, SendingLimits
from stream.errors import PeerError
from stream.twcc_history import ArrivalLog


class Link:
    """A path of 25 ms that reports all it gets; one video packet each 40 ms."""

    def __init__(self, *, audio_bps: int = 0) -> None:
        self.control = CongestionControl(
            SendingLimits(start_video_bps=150_000, max_video_bps=150_000, audio_bps=audio_bps)
        )
        self.log = ArrivalLog()
        self.now_ms = 0.0

    def run(self, frames: int, *, others: int = 0, kbps: float | None = None) -> None:
        free_ms = self.now_ms
        for _ in range(frames):
            self.now_ms += 40
            for is_video in [True] + [False] * others:
                number = self.control.note_sent(750, is_video=is_video, now_ms=self.now_ms)
                busy_ms = 0.0 if kbps is None else 788 * 8 / kbps
                free_ms = max(free_ms, self.now_ms) + busy_ms
                self.log.add(number, now_ms=free_ms + 25)
            report = self.log.report(sender_ssrc=1, media_ssrc=2, now_ms=self.now_ms)
            if report is not None:
                self.control.take_feedback(report, rtt_ms=50, now_ms=self.now_ms)

    @property
    def video_bps(self) -> int:
        video_bps = self.control.video_bps(now_ms=self.now_ms)
        assert video_bps is not None
        return video_bps


def test_without_feedback_nothing_is_known() -> None:
    control = CongestionControl(SendingLimits(start_video_bps=1, max_video_bps=1))
    control.note_sent(100, is_video=True, now_ms=0)
    assert control.video_bps(now_ms=100) is None
    assert control.estimate is None
    with pytest.raises(PeerError):
        control.take_feedback(b"\x8f\xcd", rtt_ms=None, now_ms=5)


def test_a_good_path_leaves_the_video_all_that_it_wants() -> None:
    link = Link()
    link.run(100)
    assert link.video_bps >= 150_000


def test_what_other_streams_take_is_not_left_for_the_video() -> None:
    alone, shared = Link(audio_bps=32_000), Link(audio_bps=32_000)
    alone.run(100)
    shared.run(100, others=1)
    assert alone.video_bps - shared.video_bps == pytest.approx(788 * 25 * 8, rel=0.1)


def test_a_thin_path_takes_its_share() -> None:
    link = Link()
    link.run(50)
    link.run(60, kbps=100)
    assert link.video_bps < 100_000


def test_silence_of_the_other_end_halves_the_rate_again_and_again() -> None:
    link = Link()
    link.run(100)
    estimate = link.control.estimate
    assert estimate is not None
    link.now_ms += 1.1 * SILENCE_MS
    once = link.video_bps
    link.now_ms += SILENCE_MS
    assert once == pytest.approx(estimate.target_bps / 2, rel=0.2)
    assert link.video_bps == pytest.approx(estimate.target_bps / 4, rel=0.2)
