"""The thread between a source and the codec: pace, size, and never more than a few frames."""

import queue
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from encoder.capture_thread import AUDIO_BUFFER_CHUNKS, VIDEO_BUFFER_FRAMES, CaptureThread
from encoder.sizing import Sizing
from encoder.source import SourceInfo
from stream.audio import AudioChunk
from stream.errors import CodecError
from stream.frame import CLOCK_HZ, Frame, Size
from tests.live_media import picture, tone

SOURCE = Size(width=320, height=192)
LR = Size(width=160, height=96)
END = object()


class _Source:
    """Gives what the test puts in; waits when there is nothing, until it is closed."""

    def __init__(self, items: Sequence[object] = (), *, is_live: bool) -> None:
        self.items: queue.Queue[object] = queue.Queue()
        for item in items:
            self.items.put(item)
        self.corrupt_packets = 0
        self.info = SourceInfo(name="test", size=SOURCE, fps=25, has_audio=True, is_live=is_live)

    def read(self) -> Frame | AudioChunk | None:
        item = self.items.get(timeout=10)
        if isinstance(item, Exception):
            raise item
        if item is END:
            return None
        assert isinstance(item, Frame | AudioChunk)
        return item

    def close(self) -> None:
        self.items.put(END)


def _frames(count: int, *, step_ms: int = 1) -> list[Frame]:
    step = step_ms * CLOCK_HZ // 1000
    return [picture(index, size=SOURCE, pts=index * step) for index in range(count)]


def _capture(source: _Source, *, size: Size = LR) -> CaptureThread:
    return CaptureThread(source, sizing=Sizing(size, bitrate_bps=200_000))


def test_a_file_waits_for_the_connection_and_then_plays_from_its_start() -> None:
    source = _Source([*_frames(2), END], is_live=False)
    capture = _capture(source)
    assert capture.video.get(0.05) is None
    assert not capture.finished.is_set()
    capture.start()
    assert [frame.pts for frame in _taken(capture, 2)] == [0, CLOCK_HZ // 1000]
    assert capture.finished.wait(5)
    capture.stop()


def test_a_live_source_is_read_from_the_beginning() -> None:
    capture = _capture(_Source(_frames(1), is_live=True))
    assert capture.video.get(5) is not None
    capture.stop()


def test_frames_leave_in_the_size_that_travels_with_the_time_at_which_they_entered() -> None:
    before_ms = 1000 * time.monotonic()
    capture = _capture(_Source(_frames(1), is_live=True))
    (frame,) = _taken(capture, 1)
    assert frame.size == LR
    assert frame.entered_ms is not None
    assert before_ms <= frame.entered_ms <= 1000 * time.monotonic()
    capture.stop()


def test_a_file_keeps_its_own_speed() -> None:
    capture = _capture(_Source([*_frames(6, step_ms=40), END], is_live=False))
    started_s = time.monotonic()
    capture.start()
    assert capture.finished.wait(10)
    assert time.monotonic() - started_s >= 0.19
    capture.stop()


def test_sound_goes_its_own_way() -> None:
    capture = _capture(_Source([tone(0), *_frames(1), tone(960)], is_live=True))
    chunks = [capture.audio.get(5), capture.audio.get(5)]
    assert [chunk.pts for chunk in chunks if chunk is not None] == [0, 960]
    capture.stop()


def test_what_nobody_takes_is_dropped_oldest_first_and_counted() -> None:
    sound = [tone(960 * index) for index in range(AUDIO_BUFFER_CHUNKS + 3)]
    capture = _capture(_Source([*_frames(10), *sound, END], is_live=True))
    assert capture.finished.wait(10)
    assert (len(capture.video), capture.video.dropped) == (
        VIDEO_BUFFER_FRAMES,
        10 - VIDEO_BUFFER_FRAMES,
    )
    assert (len(capture.audio), capture.audio.dropped) == (AUDIO_BUFFER_CHUNKS, 3)
    newest = _frames(10)[-VIDEO_BUFFER_FRAMES:]
    assert [frame.pts for frame in _taken(capture, len(newest))] == [frame.pts for frame in newest]
    capture.stop()


def test_an_error_of_the_source_ends_it_and_is_kept_for_the_user() -> None:
    error = CodecError("the file is damaged from here on")
    capture = _capture(_Source([*_frames(1), error], is_live=True))
    assert capture.finished.wait(5)
    assert capture.error is error
    capture.stop()


def test_a_defect_ends_it_with_an_error_instead_of_waiting_for_ever() -> None:
    capture = _capture(_Source([ZeroDivisionError("oops")], is_live=True))
    assert capture.finished.wait(5)
    assert "capturing failed: oops" in str(capture.error)
    capture.stop()


def test_stopping_ends_a_reader_that_waits_and_a_file_that_never_started() -> None:
    for is_live in (True, False):
        before = threading.active_count()
        capture = _capture(_Source(is_live=is_live))
        capture.stop()
        capture.stop()
        assert capture.finished.is_set()
        assert capture.error is None
        assert threading.active_count() <= before


def _taken(capture: CaptureThread, count: int) -> list[Frame]:
    frames = [capture.video.get(5) for _ in range(count)]
    assert None not in frames
    return [frame for frame in frames if frame is not None]


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    yield
    assert not [each for each in threading.enumerate() if each.name == "capture"]
