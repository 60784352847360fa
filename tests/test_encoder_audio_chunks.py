"""Tests of `encoder.audio_chunks`: even chunks on the common clock."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from encoder.audio_chunks import CHUNK_SAMPLES, MAX_SILENCE_SAMPLES, AudioChunker
from stream.audio import AudioChunk


def _ramp(count: int, start: int = 1) -> NDArray[np.int16]:
    mono = (np.arange(start, start + count) % 30_000).astype(np.int16)
    return np.stack((mono, -mono), axis=1)


def _joined(chunks: list[AudioChunk]) -> NDArray[np.int16]:
    return np.concatenate([chunk.samples for chunk in chunks])


def test_blocks_of_odd_length_come_out_whole_in_even_chunks() -> None:
    chunker, chunks, pts = AudioChunker(), [], 4_800
    for length in (1, 1023, 960, 4096, 17):
        chunks += chunker.push(_ramp(length, start=pts - 4_800 + 1), pts=pts)
        pts += length
    chunks += chunker.flush()
    total = pts - 4_800
    assert {len(chunk.samples) for chunk in chunks} == {CHUNK_SAMPLES}
    assert [chunk.pts for chunk in chunks] == [4_800 + CHUNK_SAMPLES * n for n in range(7)]
    assert np.array_equal(_joined(chunks)[:total], _ramp(total))
    assert not _joined(chunks)[total:].any()


def test_a_gap_is_filled_with_exactly_as_much_silence() -> None:
    chunker = AudioChunker()
    chunks = chunker.push(_ramp(960), pts=0) + chunker.push(_ramp(960), pts=960 + 4_800)
    sound = _joined(chunks)
    assert not sound[960 : 960 + 4_800].any()
    assert np.array_equal(sound[5_760:6_720], _ramp(960))


def test_an_overlap_is_cut_off_the_newer_block() -> None:
    chunker = AudioChunker()
    chunks = chunker.push(_ramp(9_600), pts=0)
    chunks += chunker.push(_ramp(9_600, start=4_801), pts=4_800)
    assert np.array_equal(_joined(chunks), _ramp(14_400))


def test_jitter_below_40_ms_is_not_heard() -> None:
    chunker = AudioChunker()
    chunks = chunker.push(_ramp(960), pts=0) + chunker.push(_ramp(960, start=961), pts=960 + 1_500)
    assert np.array_equal(_joined(chunks), _ramp(1_920))


def test_after_a_gap_too_long_for_silence_the_clock_jumps() -> None:
    chunker = AudioChunker()
    chunks = chunker.push(_ramp(100), pts=0)
    chunks += chunker.push(_ramp(960), pts=MAX_SILENCE_SAMPLES + 10_000)
    assert [chunk.pts for chunk in chunks] == [0, MAX_SILENCE_SAMPLES + 10_000]


def test_nothing_in_gives_nothing_out() -> None:
    assert AudioChunker().flush() == []


@given(
    st.lists(
        st.tuples(st.integers(1, 3_000), st.integers(-60_000, 60_000)), min_size=1, max_size=30
    )
)
def test_any_blocks_give_chunks_that_follow_each_other(blocks: list[tuple[int, int]]) -> None:
    chunker, chunks, pts = AudioChunker(), [], 0
    for length, step in blocks:
        pts = max(0, pts + step)
        chunks += chunker.push(_ramp(length), pts=pts)
        pts += length
    chunks += chunker.flush()
    assert chunks
    assert all(later.pts == earlier.end_pts for earlier, later in pairwise(chunks))
