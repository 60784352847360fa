from __future__ import annotations

import threading

import pytest

from decoder.sink_queue import SinkQueue
from stream.audio import AudioChunk
from stream.buffer import BufferClosed
from stream.frame import Frame
from tests.sink_media import STEP, picture, sound


def taken(queue: SinkQueue) -> list[Frame | AudioChunk]:
    queue.close()
    items = []
    while True:
        try:
            items.append(queue.get())
        except BufferClosed:
            return items


def test_the_oldest_frames_give_way_and_are_counted() -> None:
    queue = SinkQueue(capacity=3)
    for index in range(5):
        queue.put(picture(index * STEP))
    assert queue.frames_dropped == 2
    assert [item.pts for item in taken(queue)] == [2 * STEP, 3 * STEP, 4 * STEP]


def test_sound_survives_when_frames_are_dropped() -> None:
    queue = SinkQueue(capacity=1)
    for index in range(20):
        queue.put(picture(index * STEP))
        queue.put(sound(index * 1920))
    assert queue.chunks_dropped == 0
    assert sum(isinstance(item, AudioChunk) for item in taken(queue)) == 20


def test_sound_is_bounded_too() -> None:
    queue = SinkQueue(capacity=1)
    for index in range(520):
        queue.put(sound(index * 960))
    assert queue.chunks_dropped == 20
    assert len(taken(queue)) == 500


def test_both_tracks_leave_in_order_of_time() -> None:
    queue = SinkQueue(capacity=8)
    for pts in (0, 1920, 3840):  # 0, 40 and 80 ms
        queue.put(sound(pts))
    for pts in (STEP // 2, 3 * STEP // 2):  # 20 and 60 ms: the picture comes later
        queue.put(picture(pts))
    assert [item.pts for item in taken(queue)] == [0, STEP // 2, 1920, 3 * STEP // 2, 3840]


def test_a_closed_queue_takes_nothing_and_releases_who_waits() -> None:
    queue = SinkQueue(capacity=2)
    ended = threading.Event()

    def wait() -> None:
        with pytest.raises(BufferClosed):
            queue.get()
        ended.set()

    threading.Thread(target=wait).start()
    queue.close()
    assert ended.wait(5)
    queue.put(picture(0))
    queue.put(sound(0))
    assert (queue.frames_dropped, queue.chunks_dropped) == (1, 1)


def test_clearing_counts_what_was_inside() -> None:
    queue = SinkQueue(capacity=4)
    queue.put(picture(0))
    queue.put(sound(0))
    queue.clear()
    assert (queue.frames_dropped, queue.chunks_dropped) == (1, 1)
    assert taken(queue) == []
