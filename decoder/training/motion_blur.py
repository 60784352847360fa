"""Blurred shots with the sharp picture of each frame: what a network learns to deblur by.

A shutter that is open while things move averages what it sees. That average is made of

- the consecutive frames of *fast* footage, as the field's blur data sets are (Nah et al., "Deep
  multi-scale convolutional neural network for dynamic scene deblurring", CVPR 2017);
- the views of the synthetic camera over a still, at as many places as it passes in a frame.

Footage at the usual rate moves too far between two frames: its average is a double picture, not a
blur. It stays as it is, which also teaches a network what it must leave alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from decoder.training.clip_reader import read_clip, thinning_of
from decoder.training.footage import (
    STILL_RATE,
    USUAL_RATE,
    Shot,
    frame_multiple,
    is_still,
    read_shot,
)
from decoder.training.still_camera import StillCamera
from stream.frame import Frame, Plane


@dataclass(frozen=True, slots=True, kw_only=True)
class BlurredShot:
    """A shot as it was (`sharp`) and as a camera shows it (`seen`), frame by frame."""

    sharp: list[Frame]
    seen: list[Frame]
    rate: Fraction


def read_blurred_shot(shot: Shot, *, scale: int, exposures: int) -> BlurredShot:
    """Read a shot, blurred by at most `exposures` (odd) pictures a frame; 1 does not blur.

    Sides are as `read_shot`'s. Raises ConfigError when the source cannot be read or is too small.
    """
    multiple_of = frame_multiple(scale)
    if exposures == 1:
        frames, rate = read_shot(shot, scale=scale)
        return BlurredShot(sharp=frames, seen=frames, rate=rate)
    if is_still(shot.path):
        camera = StillCamera(shot.path, seed=shot.seed, multiple_of=multiple_of)
        pairs = list(camera.film_blurred(shot.frames, exposures=exposures))
        return BlurredShot(
            sharp=[sharp for sharp, _ in pairs], seen=[seen for _, seen in pairs], rate=STILL_RATE
        )
    rate, clip = read_clip(shot.path, multiple_of=multiple_of, start=shot.start)
    step = thinning_of(rate, USUAL_RATE)
    # At the usual rate nothing is averaged; else one length a shot, by its name alone.
    rng = np.random.default_rng(int.from_bytes(shot.key[-8:].encode(), "big"))
    count = 2 * int(rng.integers(1, exposures // 2 + 1)) + 1 if step > 1 else 1
    near: deque[Frame] = deque(maxlen=count)
    sharp: list[Frame] = []
    seen: list[Frame] = []
    for index, frame in enumerate(clip):
        near.append(frame)
        if len(near) == count and (index + 1 - count) % step == 0:
            pts = len(sharp)
            sharp.append(near[count // 2].at(pts))
            seen.append(mean_frame(near).at(pts))
            if len(sharp) == shot.frames:
                break
    return BlurredShot(sharp=sharp, seen=seen, rate=rate / step)


def mean_frame(frames: Sequence[Frame]) -> Frame:
    """The mean of frames of one size, plane by plane, with all else as in the first."""

    def mean(planes: list[Plane]) -> Plane:
        total = np.zeros(planes[0].shape, np.float32)
        for plane in planes:
            total += plane
        return np.round(total / len(planes)).astype(np.uint8)

    return replace(
        frames[0],
        y=mean([frame.y for frame in frames]),
        u=mean([frame.u for frame in frames]),
        v=mean([frame.v for frame in frames]),
    )
