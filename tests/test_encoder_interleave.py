"""Tests of `encoder.interleave`: both tracks in the order of their times."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from encoder.interleave import MAX_HELD_CHUNKS, Interleaver
from stream.audio import AudioChunk, video_pts
from stream.frame import Frame


def _frame(pts: int, side: int = 2) -> Frame:
    half = np.zeros((side // 2, side // 2), np.uint8)
    return Frame(y=np.zeros((side, side), np.uint8), u=half, v=half, pts=pts)


def _chunk(pts: int) -> AudioChunk:
    return AudioChunk(samples=np.zeros((960, 2), np.int16), pts=pts)


def _time(item: Frame | AudioChunk) -> int:
    return item.pts if isinstance(item, Frame) else video_pts(item.pts)


@given(st.lists(st.booleans(), max_size=120))
def test_any_interleaving_of_two_tracks_comes_out_sorted_and_complete(order: list[bool]) -> None:
    interleaver, out, frames, chunks = Interleaver(), [], 0, 0
    for is_video in order:
        if is_video:
            out += interleaver.push(_frame(3_600 * frames))
            frames += 1
        else:
            out += interleaver.push(_chunk(960 * chunks))
            chunks += 1
    out += interleaver.flush()
    assert len(out) == len(order)
    assert [_time(item) for item in out] == sorted(_time(item) for item in out)


def test_a_track_that_ended_is_not_waited_for_for_ever() -> None:
    interleaver = Interleaver()
    waiting = [len(interleaver.push(_chunk(960 * n))) for n in range(MAX_HELD_CHUNKS + 10)]
    assert waiting[:MAX_HELD_CHUNKS] == [0] * MAX_HELD_CHUNKS
    assert waiting[MAX_HELD_CHUNKS + 1 :] == [1] * 9


def test_large_pictures_are_bounded_by_their_bytes() -> None:
    interleaver = Interleaver()
    held = 0
    for n in range(40):
        held += 1 - len(interleaver.push(_frame(3_600 * n, side=2048)))
        assert held * 2048 * 2048 * 3 // 2 <= 140 * 1024 * 1024
