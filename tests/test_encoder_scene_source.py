"""Tests of `encoder.scene_source`: the scene behind the same door as every other source."""

from __future__ import annotations

from encoder.capture import SourceConfig, open_source
from stream.audio import AudioChunk, video_pts
from stream.frame import Frame, Size
from tests.capture_media import capture, read_all

TINY = "size=64x36&fps=10"


def test_its_info_tells_size_rate_and_that_somebody_must_pace_it() -> None:
    source = open_source(SourceConfig(url=f"test:1?{TINY}"))
    assert source.info.size == Size(width=64, height=36)
    assert source.info.fps == 10
    assert source.info.has_audio
    assert not source.info.is_live
    assert source.corrupt_packets == 0
    source.close()


def test_a_limited_scene_ends_and_its_sound_keeps_up_with_it() -> None:
    frames, chunks = capture(f"test:2?{TINY}")
    assert [frame.pts for frame in frames] == [9_000 * n for n in range(20)]
    assert [chunk.pts for chunk in chunks] == [960 * n for n in range(len(chunks))]
    assert abs(video_pts(chunks[-1].end_pts) - frames[-1].pts) <= 9_000


def test_items_come_in_order_of_time() -> None:
    source = open_source(SourceConfig(url=f"test:?{TINY}"))
    items = [source.read() for _ in range(100)]
    source.close()
    times = [
        item.pts if isinstance(item, Frame) else video_pts(item.pts)
        for item in items
        if isinstance(item, Frame | AudioChunk)
    ]
    assert len(times) == 100
    assert times == sorted(times)


def test_looping_goes_on_with_the_clock_and_starts_the_picture_again() -> None:
    source = open_source(SourceConfig(url=f"test:1?{TINY}", loop=True, audio=False))
    frames, chunks = read_all(source, limit=25)
    assert chunks == []
    assert [frame.pts for frame in frames] == [9_000 * n for n in range(25)]
    assert (frames[0].y == frames[10].y).all()


def test_a_rate_limit_and_closing_work_as_for_files() -> None:
    frames, _ = capture(f"test:2?{TINY}", fps=5, audio=False)
    assert [frame.pts for frame in frames] == [18_000 * n for n in range(10)]
    source = open_source(SourceConfig(url=f"test:?{TINY}"))
    source.close()
    assert source.read() is None
