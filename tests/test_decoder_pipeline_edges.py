"""What a pipeline does when the stream, or the machine, is not as one would wish."""

import logging
import time
from itertools import pairwise
from pathlib import Path

import pytest

from decoder.restorer import Restorer
from stream.errors import ConfigError, FrameError
from stream.frame import Frame, Size
from stream.timing import MediaClock
from tests.marked_pictures import STEP, numbers_in
from tests.pipeline_rig import HR, LANCZOS, LR, is_empty, play, running, wait_until
from tests.sink_media import frame_times_by_ffmpeg


def test_the_output_keeps_its_size_when_the_picture_changes_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "decoder")
    path = tmp_path / "out.mp4"
    with running(str(path)) as rig:
        publisher = rig.publish()
        for number, size in enumerate([LR, LR, Size(width=80, height=48), HR, LR]):
            publisher.put(number, size=size)
        rig.restored(5)
    assert numbers_in(path) == list(range(5))
    assert "stream live: receiving 160x96" in caplog.messages
    changed = "stream live: the picture changed from {} to {}, the output stays 320x192"
    assert changed.format("160x96", "80x48") in caplog.messages
    assert changed.format("80x48", "320x192") in caplog.messages


def test_timestamps_that_wrap_or_jump_do_not_break_the_output(tmp_path: Path) -> None:
    """RTP timestamps of 32 bits on their way through the clock of a peer and the pipeline."""
    path = tmp_path / "out.mp4"
    clock = MediaClock()
    rtp = [(2**32 - 5 * STEP + number * STEP) % 2**32 for number in range(10)]  # wraps
    rtp += [50_000_000 + number * STEP for number in range(5)]  # starts over
    rtp += [3_000_000_000 + number * STEP for number in range(5)]  # leaps
    with running(str(path)) as rig:
        publisher = rig.publish()
        for number, timestamp in enumerate(rtp):
            pts = clock.video(timestamp, arrived_ms=40.0 * number)
            assert pts is not None
            publisher.put(number, pts=pts)
        rig.restored(20)
    assert numbers_in(path) == list(range(20))
    times = frame_times_by_ffmpeg(path)
    assert {later - earlier for earlier, later in pairwise(times)} == {times[1] - times[0]}


class _SlowRestorer(Restorer):
    """A real one on a machine that is too slow."""

    def push(self, frame: Frame) -> list[Frame]:
        time.sleep(0.05)
        return super().push(frame)


def test_a_restorer_slower_than_the_stream_drops_whole_frames_and_delay_does_not_grow(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "out.mp4"
    with running(str(path), restorer=lambda: _SlowRestorer(LANCZOS)) as rig:
        publisher = rig.publish()
        started_s = time.monotonic()
        late_ms: list[float] = []
        for number in range(200):  # 100 frames a second
            publisher.put(number, pts=number * 900)
            time.sleep(max(0.0, started_s + 0.01 * number - time.monotonic()))
            if number == 150:
                before = rig.pipeline.stage_percentiles()["wait"].count
        publisher.end()
        wait_until(lambda: is_empty(publisher.video))
        rig.pipeline.close()
        counts = rig.pipeline.counts()
        wait = rig.pipeline.stage_percentiles()["wait"]
        late_ms = sorted(list(wait._values)[before:])
    assert counts.frames_in == 200
    assert counts.frames_restored + counts.frames_dropped == 200
    assert counts.frames_dropped > 100
    assert late_ms[len(late_ms) // 2] < 150  # one frame in work, one waiting
    numbers = numbers_in(path)
    assert numbers == sorted(set(numbers))
    assert len(numbers) == counts.frames_restored
    assert "restoration is slower than the stream" in caplog.text


def test_what_a_publisher_left_behind_is_restored_even_if_restoration_is_behind(
    tmp_path: Path,
) -> None:
    path = tmp_path / "out.mp4"
    with running(str(path), restorer=lambda: _SlowRestorer(LANCZOS)) as rig:
        publisher = rig.publish()
        for number in range(60):  # far more than the buffer holds
            publisher.put(number)
        wait_until(lambda: is_empty(publisher.video))
        for number in range(60, 72):  # while the last of those is being restored
            publisher.put(number)
        publisher.end()
        wait_until(lambda: is_empty(publisher.video))
    assert numbers_in(path)[-12:] == list(range(60, 72))


def test_what_was_decoded_is_restored_before_the_end() -> None:
    with running(restorer=lambda: _SlowRestorer(LANCZOS)) as rig:
        publisher = rig.publish()
        for number in range(8):
            publisher.put(number)
        rig.restored(1)
        rig.pipeline.close()
        counts = rig.pipeline.counts()
    assert (counts.frames_in, counts.frames_restored, counts.frames_dropped) == (8, 8, 0)


def test_a_restorer_that_cannot_be_opened_is_reported_once() -> None:
    def refuse() -> Restorer:
        raise ConfigError("no such model")

    with running(restorer=refuse) as rig:
        wait_until(lambda: bool(rig.failures))
    assert [str(error) for error in rig.failures] == ["no such model"]


class _PickyRestorer(Restorer):
    """Refuses the third frame."""

    refused = False

    def push(self, frame: Frame) -> list[Frame]:
        if not self.refused and frame.pts == 2 * STEP:
            self.refused = True
            raise FrameError("cannot scale that")
        return super().push(frame)


def test_a_frame_that_cannot_be_restored_is_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "out.mp4"
    with running(str(path), restorer=lambda: _PickyRestorer(LANCZOS)) as rig:
        publisher = rig.publish()
        play(rig, publisher, range(6))
        rig.restored(5)
        rig.pipeline.close()
        counts = rig.pipeline.counts()
    assert numbers_in(path) == [0, 1, 3, 4, 5]
    assert (counts.frames_in, counts.frames_unusable) == (6, 1)
    assert "a frame cannot be restored: cannot scale that" in caplog.text
    assert rig.failures == []


def test_pictures_in_whose_place_the_last_good_one_stays_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with running(str(path)) as rig:
        publisher = rig.publish()
        for number in range(6):
            publisher.put(number, is_damaged=number in (2, 3))
            wait_until(lambda: len(publisher.video) < 10)
        rig.restored(6)
        rig.pipeline.close()
        counts = rig.pipeline.counts()
    assert numbers_in(path) == [0, 1, 1, 1, 4, 5]
    assert (counts.frames_restored, counts.frames_held) == (6, 2)
