from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from decoder.sink_thread import SinkState, SinkThread, start_sink
from stream.audio import AudioChunk
from stream.backoff import Backoff, BackoffConfig
from stream.errors import ConfigError, PeerError, SinkError
from stream.frame import CLOCK_HZ, Frame
from tests.sink_media import SIZE, STEP, picture, read_with_pyav, sound

PATIENCE_S = 10


def soon() -> Backoff:
    return Backoff(BackoffConfig(first_s=0.01, longest_s=0.02))


def eventually(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, "it never happened"
        time.sleep(0.002)


class ListSink:
    """Keeps what it gets; waits for `gate`, and fails as `failure` says for each frame."""

    name = "list:"

    def __init__(self, failure: Callable[[Frame], Exception | None] = lambda frame: None) -> None:
        self.items: list[Frame | AudioChunk] = []
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Event()
        self.closed = 0
        self.bytes_written = 0
        self._failure = failure

    def write_video(self, frame: Frame) -> bool:
        self.reached.set()
        assert self.gate.wait(PATIENCE_S)
        error = self._failure(frame)
        if error is not None:
            raise error
        self.items.append(frame)
        self.bytes_written += 1
        return frame.pts >= 0

    def write_audio(self, chunk: AudioChunk) -> None:
        self.items.append(chunk)

    def close(self) -> None:
        self.closed += 1


def test_a_slow_sink_loses_its_oldest_frames_and_never_blocks_the_producer() -> None:
    sink = ListSink()
    sink.gate.clear()
    thread = SinkThread(lambda: sink, name="list:", reconnects=False, queued_frames=4)
    thread.put(picture(0))
    assert sink.reached.wait(PATIENCE_S)
    for index in range(1, 11):
        thread.put(picture(index * STEP))
    sink.gate.set()
    assert thread.close(PATIENCE_S)
    assert [item.pts // STEP for item in sink.items] == [0, 7, 8, 9, 10]
    counters = thread.counters()
    assert (counters.frames_written, counters.frames_dropped) == (5, 6)
    assert (counters.state, counters.reason) == (SinkState.CLOSED, None)


def test_frames_that_the_sink_finds_too_late_count_as_dropped() -> None:
    thread = SinkThread(ListSink, name="list:", reconnects=False)
    thread.put(picture(0))
    thread.put(picture(-STEP))
    assert thread.close(PATIENCE_S)
    counters = thread.counters()
    assert (counters.frames_written, counters.frames_dropped) == (1, 1)


def test_closing_writes_all_that_is_queued(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    thread = start_sink(str(path), size=SIZE, frame_rate=25, with_audio=True)
    for index in range(16):
        thread.put(sound(index * 1920, samples=1920))
        thread.put(picture(index * STEP))
    assert thread.close(PATIENCE_S)
    counters = thread.counters()
    assert counters.name == str(path)
    assert counters.frames_written == len(read_with_pyav(path).frame_times) == 16
    assert 0 < counters.bytes_written <= path.stat().st_size


def test_a_target_that_cannot_work_is_refused_before_a_thread_exists(tmp_path: Path) -> None:
    before = threading.active_count()
    for target in ("x.avi", f"{tmp_path}/missing/x.mp4"):
        with pytest.raises(ConfigError):
            start_sink(target, size=SIZE, frame_rate=25, with_audio=False)
    assert threading.active_count() == before


def test_a_full_disk_ends_one_sink_with_one_line_and_the_other_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    full = start_sink("y4m:/dev/full", size=SIZE, frame_rate=25, with_audio=False)
    path = tmp_path / "x.mkv"
    good = start_sink(str(path), size=SIZE, frame_rate=25, with_audio=False)
    full.put(picture(0))
    eventually(lambda: full.counters().state is SinkState.FAILED)
    for index in range(10):
        full.put(picture(index * STEP))
        good.put(picture(index * STEP))
    assert full.close(PATIENCE_S)
    assert good.close(PATIENCE_S)
    assert full.counters().reason == "y4m:/dev/full stopped: No space left on device"
    assert full.counters().state is SinkState.FAILED
    assert full.counters().frames_dropped == 11
    assert [record.getMessage() for record in caplog.records] == [full.counters().reason]
    assert len(read_with_pyav(path).frame_times) == 10


def test_a_broken_pipe_ends_the_sink_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = os.pipe()
    thread = start_sink(f"y4m:/dev/fd/{writer}", size=SIZE, frame_rate=25, with_audio=False)
    thread.put(picture(0))  # 23 kB fit a pipe's 64 kB
    eventually(lambda: thread.counters().frames_written == 1)
    os.close(reader)
    thread.put(picture(STEP))
    thread.put(picture(2 * STEP))
    eventually(lambda: thread.counters().state is SinkState.FAILED)
    assert thread.close(PATIENCE_S)
    os.close(writer)
    assert len(caplog.records) == 1
    assert "its reader went away" in caplog.text


def test_a_lost_peer_is_reconnected_and_starts_over() -> None:
    opened: list[ListSink] = []

    def lose_the_third(frame: Frame) -> Exception | None:
        return PeerError("gone") if frame.pts == 2 * STEP else None

    def open_one() -> ListSink:
        opened.append(ListSink(lose_the_third))
        return opened[-1]

    thread = SinkThread(open_one, name="list:", reconnects=True, backoff=soon())
    for index in range(3):
        thread.put(picture(index * STEP))
    eventually(lambda: len(opened) == 2)
    assert opened[0].closed == 1
    assert thread.counters().state is SinkState.RECONNECTING
    assert thread.counters().reason == "gone"
    thread.put(picture(3 * STEP))
    thread.put(picture(3 * STEP + 5 * CLOCK_HZ))
    eventually(lambda: thread.counters().state is SinkState.WRITING)
    assert thread.close(PATIENCE_S)
    assert len(opened[1].items) == 2
    counters = thread.counters()
    assert (counters.frames_written, counters.frames_dropped) == (4, 1)
    assert counters.bytes_written == 4


def test_frames_that_came_while_a_peer_was_away_are_dropped_not_delayed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures: list[Exception] = [PeerError("refused")] * 3
    sink = ListSink()

    def open_one() -> ListSink:
        thread.put(picture(len(failures) * STEP))  # one more frame comes at each attempt
        if failures:
            raise failures.pop()
        return sink

    ready = threading.Event()

    def open_when_ready() -> ListSink:
        assert ready.wait(PATIENCE_S)
        return open_one()

    thread = SinkThread(open_when_ready, name="list:", reconnects=True, backoff=soon())
    ready.set()
    eventually(lambda: len(sink.items) == 1)
    assert thread.close(PATIENCE_S)
    assert [item.pts for item in sink.items] == [0]
    assert thread.counters().frames_dropped == 3
    assert len(caplog.records) == 3


def test_a_local_error_is_not_retried() -> None:
    attempts = []

    def open_one() -> ListSink:
        attempts.append(1)
        raise SinkError("the disk is gone")

    thread = SinkThread(open_one, name="list:", reconnects=True, backoff=soon())
    eventually(lambda: thread.counters().state is SinkState.FAILED)
    assert thread.close(PATIENCE_S)
    assert len(attempts) == 1


def test_an_unexpected_exception_stays_inside(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sink = ListSink(lambda frame: ZeroDivisionError("a bug"))
    thread = SinkThread(lambda: sink, name="list:", reconnects=False)
    thread.put(picture(0))
    eventually(lambda: thread.counters().state is SinkState.FAILED)
    thread.put(picture(STEP))
    assert thread.close(PATIENCE_S)
    assert sink.closed == 1
    assert thread.counters().reason == "sink failed: ZeroDivisionError: a bug"
    assert len(caplog.records) == 1


def test_closing_does_not_wait_for_the_next_attempt() -> None:
    def refuse() -> ListSink:
        raise PeerError("refused")

    backoff = Backoff(BackoffConfig(first_s=60, longest_s=60))
    thread = SinkThread(refuse, name="list:", reconnects=True, backoff=backoff)
    eventually(lambda: thread.counters().state is SinkState.RECONNECTING)
    assert thread.close(1)
    assert thread.counters().state is SinkState.CLOSED


def test_a_sink_that_hangs_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    sink = ListSink()
    sink.gate.clear()
    thread = SinkThread(lambda: sink, name="list:", reconnects=False)
    thread.put(picture(0))
    assert sink.reached.wait(PATIENCE_S)
    assert not thread.close(0.05)
    assert "not finished after 0.05 s" in caplog.text
    sink.gate.set()
    assert thread.close(PATIENCE_S)
