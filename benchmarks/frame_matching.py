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

PROBES = 8


def presentation_times(recording: Path) -> list[int]:
    """Times of a recording's pictures in 1/90000 s, in order."""
    with av.open(str(recording)) as container:
        stream = container.streams.video[0]
        base = Fraction(stream.time_base or 1)
        times = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
    return [round(pts * base * CLOCK_HZ) for pts in sorted(times)]


def matching_frames(
    received: Sequence[Frame], times: Sequence[int], source: Sequence[Frame]
) -> list[Frame]:
    """The source frame shown at each of `times`.

    The times tell which frames follow the first; the start is where PROBES received pictures,
    spread over all, are most like the source (the first alone may be too coarse to tell). Raises
    ConfigError when counts differ or the times lead outside the source.
    """
    if len(received) != len(times):
        raise ConfigError(f"{len(received)} frames came with {len(times)} times")
    source_times = np.array([frame.pts for frame in source])
    steps = np.array(times) - times[0]
    probes = np.unique(np.linspace(0, len(times) - 1, PROBES).astype(int))
    best, likeness = None, -1.0
    for start in range(min(FIRST_AMONG, len(source) - len(times) + 1)):
        found = np.abs(source_times[None, :] - (source_times[start] + steps)[:, None]).argmin(1)
        if len(set(found.tolist())) != len(times):
            continue
        alike = float(np.mean([psnr_y(received[i].y, source[found[i]].y) for i in probes]))
        if alike > likeness:
            best, likeness = found, alike
    if best is None:
        raise ConfigError("the recording's times do not fit the source: frames cannot be matched")
    return [source[index] for index in best]
