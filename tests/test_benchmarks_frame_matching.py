from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.frame_matching import matching_frames
from stream.errors import ConfigError
from stream.frame import Frame

INTERVAL = 3600


def frames(count: int) -> list[Frame]:
    rng = np.random.default_rng(3)
    chroma = np.full((8, 8), 128, np.uint8)
    return [
        Frame(
            y=rng.integers(16, 235, (16, 16), dtype=np.uint8), u=chroma, v=chroma, pts=i * INTERVAL
        )
        for i in range(count)
    ]


def test_dropped_frames_are_skipped_in_the_source_too() -> None:
    source = frames(12)
    times = [0, INTERVAL, 4 * INTERVAL, 5 * INTERVAL]
    wanted = [source[3], source[4], source[7], source[8]]
    coarse = replace(source[9], pts=0)  # a first picture that looks like another one
    assert matching_frames([coarse, *wanted[1:]], times, source) == wanted


def test_times_that_do_not_fit_the_source_are_refused() -> None:
    source = frames(5)
    with pytest.raises(ConfigError, match="do not fit"):
        matching_frames(source[:3], [0, 5 * INTERVAL, 9 * INTERVAL], source)
