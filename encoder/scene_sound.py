"""The sound of the test scene: a quiet tone, and a beep at each full second. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.audio import SAMPLE_RATE_HZ

TONE_HZ = 220
TONE_LEVEL = 0.02
BEEP_HZ = 1000
BEEP_LEVEL = 0.2
BEEP_SAMPLES = SAMPLE_RATE_HZ // 10
"""100 ms."""

RAMP_SAMPLES = SAMPLE_RATE_HZ // 200
"""5 ms of fade at both ends of a beep, so that it does not click."""


def sound(first_sample: int, count: int) -> NDArray[np.int16]:
    """`count` samples from `first_sample` (48 kHz) on, int16 (count, 2): the same on both sides.

    Depends on nothing but the sample number. The beep begins exactly on the second.
    """
    sample = np.arange(first_sample, first_sample + count, dtype=np.int64)
    into_second = sample % SAMPLE_RATE_HZ  # both tones have whole periods in a second
    turn = 2 * np.pi * into_second / SAMPLE_RATE_HZ
    ramp = np.minimum(into_second, BEEP_SAMPLES - into_second) / RAMP_SAMPLES
    wave = TONE_LEVEL * np.sin(TONE_HZ * turn)
    wave += BEEP_LEVEL * np.clip(ramp, 0, 1) * np.sin(BEEP_HZ * turn)
    mono = np.round(wave * np.iinfo(np.int16).max).astype(np.int16)
    return np.stack((mono, mono), axis=1)
