"""Tests of `encoder.audio_normaliser` with tones of known level."""

from __future__ import annotations

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from encoder.audio_normaliser import AudioNormaliser
from stream.audio import AudioChunk


def _tone(rate_hz: int, seconds: float, level: int = 10_000) -> NDArray[np.int16]:
    time_s = np.arange(round(rate_hz * seconds)) / rate_hz
    return (level * np.sin(2 * np.pi * 440 * time_s)).astype(np.int16)


def _block(samples: NDArray[np.int16], rate_hz: int, layout: str = "mono") -> av.AudioFrame:
    block = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
    block.sample_rate = rate_hz
    return block


def _normalise(tone: NDArray[np.int16], rate_hz: int) -> list[AudioChunk]:
    normaliser, chunks = AudioNormaliser(), []
    for start in range(0, len(tone), 1024):
        pts = round(start * 90_000 / rate_hz)
        chunks += normaliser.push(_block(tone[start : start + 1024], rate_hz), pts=pts)
    return chunks + normaliser.flush()


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000, 96_000])
def test_mono_of_any_rate_comes_out_on_both_sides_at_its_level_and_time(rate_hz: int) -> None:
    chunks = _normalise(_tone(rate_hz, 1.0), rate_hz)
    sound = np.concatenate([chunk.samples for chunk in chunks])[:48_000].astype(float)
    assert {len(chunk.samples) for chunk in chunks} == {960}
    assert chunks[0].pts == 0
    assert len(chunks) in (50, 51)
    assert np.array_equal(sound[:, 0], sound[:, 1])
    expected = _tone(48_000, 1.0).astype(float)
    error = sound[960:-960, 0] - expected[960:-960]
    assert np.abs(error).max() < 600  # a shift by one sample alone would be 575


def test_stereo_sides_stay_apart() -> None:
    left, right = _tone(44_100, 0.2), np.zeros(8_820, np.int16)
    block = _block(np.stack((left, right), axis=1), 44_100, "stereo")
    normaliser = AudioNormaliser()
    chunks = normaliser.push(block, pts=0) + normaliser.flush()
    sound = np.concatenate([chunk.samples for chunk in chunks])
    assert np.abs(sound[:, 0]).max() > 9_500
    assert np.abs(sound[:, 1]).max() < 10


def test_surround_is_mixed_down_without_clipping() -> None:
    channels = np.stack([_tone(48_000, 0.1, level=30_000)] * 6, axis=1)
    normaliser = AudioNormaliser()
    chunks = normaliser.push(_block(channels, 48_000, "5.1"), pts=0) + normaliser.flush()
    sound = np.concatenate([chunk.samples for chunk in chunks])
    assert 20_000 < np.abs(sound.astype(int)).max() < 32_767


def test_the_format_may_change_in_the_middle() -> None:
    normaliser = AudioNormaliser()
    chunks = normaliser.push(_block(_tone(44_100, 0.1), 44_100), pts=0)
    stereo = np.repeat(_tone(48_000, 0.1), 2)
    chunks += normaliser.push(_block(stereo, 48_000, "stereo"), pts=9_000)
    chunks += normaliser.flush()
    assert [chunk.pts for chunk in chunks] == [960 * number for number in range(len(chunks))]
    assert len(chunks) in (10, 11)


def test_nothing_in_gives_nothing_out() -> None:
    assert AudioNormaliser().flush() == []
