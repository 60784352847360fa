"""Runs a network that has just been opened, so that a stream's first frame is not its first.

Libraries make their buffers, and the system gives the memory behind them, when a network runs for
the first time: at 1280x720 that is 90 MB and costs more than a frame interval.
"""

from __future__ import annotations

import logging
import time

import numpy as np

from decoder.backends.contract import Backend
from stream.errors import InferenceFailed
from stream.frame import NEUTRAL_CHROMA, Frame, Size

_log = logging.getLogger(__name__)

WARM_UP_FRAMES = 2
"""The first allocates nearly everything, the second the rest."""

WARM_UP_S = 0.3
"""No other frame after this long: a network this slow gains little by it."""


def warm_up(backend: Backend, lr_size: Size, *, window: int) -> None:
    """Restore frames of the size that `backend` is open for.

    A failure is left to the stream's own frames, which then come out by Lanczos.
    """
    frame, end_s = noise_frame(lr_size), time.monotonic() + WARM_UP_S
    try:
        for _ in range(WARM_UP_FRAMES):
            backend.fuse([backend.extract(frame)] * window)
            if time.monotonic() >= end_s:
                return
    except InferenceFailed as error:
        _log.debug("%s failed to warm up: %s", backend.name, error)


def noise_frame(size: Size) -> Frame:
    """Noise, since branches on content (zeros, denormals) would flatter one engine."""
    chroma = np.full((size.height // 2, size.width // 2), NEUTRAL_CHROMA, np.uint8)
    luma = np.random.default_rng(0).integers(16, 236, (size.height, size.width), np.uint8)
    return Frame(y=luma, u=chroma, v=chroma, pts=0)
