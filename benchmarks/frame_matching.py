"""Which source frame each received frame shows, when some were dropped on the way."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from benchmarks.quality import psnr_y
from stream.errors import ConfigError
from stream.frame import CLOCK_HZ, Frame

FIRST_AMONG = 100
"""The first frame that came out is looked for among this many of the source."""


def presentation_times(recording: Path) -> list[int]:
    """Times of a recording's pictures in 1/90000 s, in order."""
    with av.open(str(recording)) as container:
        stream = container.streams.video[0]
        base = Fraction(stream.time_base or 1)
        times = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
    return [round(pts * base * CLOCK_HZ) for pts in sorted(times)]


def matching_frames(first: Frame, times: Sequence[int], source: Sequence[Frame]) -> list[Frame]:
    """The source frame shown at each of `times`.

    `first` is the received picture at times[0]: the source frame most like it sets the start, the
    times do the rest. Raises ConfigError when they lead outside the source.
    """
    likeness = [psnr_y(first.y, frame.y) for frame in source[:FIRST_AMONG]]
    start = int(np.argmax(likeness))
    source_times = np.array([frame.pts for frame in source])
    wanted = source_times[start] + np.array(times) - times[0]
    found = np.abs(source_times[None, :] - wanted[:, None]).argmin(axis=1)
    if len(set(found.tolist())) != len(times):
        raise ConfigError("the recording's times do not fit the source: frames cannot be matched")
    return [source[index] for index in found]
