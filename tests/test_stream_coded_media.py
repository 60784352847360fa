import asyncio

from stream.coded_media import CodedQueue, CodedUnit
from stream.timing import Track


def unit(pts: int, *, is_keyframe: bool = False, size_bytes: int = 100) -> CodedUnit:
    return CodedUnit(
        track=Track.VIDEO,
        codec="h264",
        payloads=(b"x" * size_bytes,),
        pts=pts,
        is_keyframe=is_keyframe,
    )


async def taken(queue: CodedQueue) -> list[int]:
    """The pts of everything that waits."""
    queue_pts: list[int] = []
    while True:
        try:
            async with asyncio.timeout(0.01):
                next_unit = await queue.get()
        except TimeoutError:
            return queue_pts
        if next_unit is None:
            return queue_pts
        queue_pts.append(next_unit.pts)


async def test_it_begins_with_a_keyframe_and_keeps_the_order() -> None:
    queue = CodedQueue()
    for pts in range(6):
        queue.put(unit(pts, is_keyframe=pts == 2))
    assert await taken(queue) == [2, 3, 4, 5]
    assert queue.dropped == 2


async def test_too_slow_a_viewer_loses_all_that_waits_and_goes_on_with_a_keyframe() -> None:
    queue = CodedQueue(max_bytes=250)
    queue.put(unit(0, is_keyframe=True))
    for pts in range(1, 5):
        queue.put(unit(pts))
    assert queue.awaits_keyframe
    assert await taken(queue) == []
    queue.put(unit(5, is_keyframe=True))
    queue.put(unit(6))
    assert await taken(queue) == [5, 6]
    assert queue.dropped == 5


async def test_a_keyframe_that_finds_no_room_takes_it() -> None:
    queue = CodedQueue(max_bytes=250)
    for pts in (0, 1):
        queue.put(unit(pts, is_keyframe=True))
    queue.put(unit(2, is_keyframe=True))
    assert await taken(queue) == [2]


async def test_a_frame_larger_than_the_limit_still_goes_out() -> None:
    queue = CodedQueue(max_bytes=10)
    queue.put(unit(0, is_keyframe=True))
    assert await taken(queue) == [0]


async def test_who_waits_is_woken_by_a_unit_and_by_the_end() -> None:
    queue = CodedQueue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.put(unit(7, is_keyframe=True))
    first = await waiting
    assert first is not None
    assert first.pts == 7
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.close()
    assert await waiting is None
    queue.put(unit(8, is_keyframe=True))
    assert await queue.get() is None
