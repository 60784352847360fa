"""A synthetic hand-held camera over a photograph: pan, zoom and roll that change smoothly."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stream.errors import ConfigError
from stream.frame import Frame
from stream.frame_av import frame_from_av

LARGEST_WIDTH, LARGEST_HEIGHT = 1280, 720
LARGE_PHOTO_SIDE = 1200
"""A photograph is softer than its pixel count: one with a larger short side is shrunk."""

_MARGIN = 0.9
_SOME_BLUR = 3
"""Exposures a frame in the share of shots that a camera's own blur softens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pose:
    """Where the camera looks.

    position: left and top of the view. velocity: samples a frame. blurs: whether the shot has the
    blur of a camera's usual shutter.
    """

    position: NDArray[np.float64]
    velocity: NDArray[np.float64]
    angle: float
    zoom: float
    blurs: bool


class StillCamera:
    """Films a photograph, the same way for the same file name and seed.

    Raises ConfigError when it cannot be read or is too small for a view in multiples of
    `multiple_of`.
    """

    def __init__(self, path: Path, *, seed: int, multiple_of: int) -> None:
        digest = hashlib.sha256(f"{path.name}{seed}".encode()).digest()
        self._rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        try:
            with Image.open(path) as image:
                photo = image.convert("RGB")
        except OSError as error:  # Pillow's own errors are a kind of it
            raise ConfigError(f"{path} is not a picture that can be read") from error
        if min(photo.size) > LARGE_PHOTO_SIDE:
            photo = photo.resize(
                (photo.width * 3 // 4, photo.height * 3 // 4), Image.Resampling.LANCZOS
            )
        self._photo = photo
        width, height = (int(side * _MARGIN) for side in photo.size)
        self._width = min(LARGEST_WIDTH, width) // multiple_of * multiple_of
        self._height = min(LARGEST_HEIGHT, height) // multiple_of * multiple_of
        if not self._width or not self._height:
            raise ConfigError(f"{path} is too small: {photo.width}x{photo.height}")
        self._slack = np.array([photo.width - self._width, photo.height - self._height], float)

    def film(self, count: int) -> Iterator[Frame]:
        """Frames with pts 0, 1, …; some shots have the blur of a camera's usual shutter."""
        for index, pose in enumerate(self._poses(count)):
            parts = _SOME_BLUR if pose.blurs else 1
            moments = [0.5 * part / parts for part in range(parts)]
            yield self._exposed(pose, moments, pts=index)

    def film_blurred(self, count: int, *, exposures: int) -> Iterator[tuple[Frame, Frame]]:
        """Each frame as it stands still in the middle of the exposure, and as it is exposed.

        exposures: most views averaged into a frame. The shutter is open for a part of the time
        that the shot decides, so a frame blurs as far as the camera moves in it.
        """
        shutter = self._rng.uniform(0.3, 1.0)
        for index, pose in enumerate(self._poses(count)):
            way = float(np.hypot(*pose.velocity)) * shutter
            parts = max(1, min(exposures, 2 * math.ceil(way / 2) + 1))
            moments = [shutter * ((part + 0.5) / parts - 0.5) for part in range(parts)]
            sharp = self._exposed(pose, [0.0], pts=index)
            yield sharp, sharp if parts == 1 else self._exposed(pose, moments, pts=index)

    def _poses(self, count: int) -> Iterator[_Pose]:
        rng, slack = self._rng, self._slack
        position = slack * rng.uniform(0.1, 0.9, 2)
        velocity = rng.normal(0, rng.choice([0.3, 1.5, 5.0]), 2)
        shake, angle, roll = rng.uniform(0, 0.6), 0.0, rng.normal(0, 0.0004)
        zoom, zoom_rate = 1.0, rng.normal(0, 0.0006)
        blurs = bool(rng.random() < 0.4)
        for _ in range(count):
            yield _Pose(position=position, velocity=velocity, angle=angle, zoom=zoom, blurs=blurs)
            velocity = velocity + rng.normal(0, 0.05 + shake, 2) * 0.3
            for axis in range(2):  # turn round at the edges of the photograph
                if not 0 <= position[axis] + velocity[axis] <= slack[axis]:
                    velocity[axis] *= -1
            position = np.clip(position + velocity, 0, slack)
            angle, zoom = angle + roll, float(np.clip(zoom + zoom_rate, 0.93, 1.0))

    def _exposed(self, pose: _Pose, moments: list[float], *, pts: int) -> Frame:
        """The mean of what the camera sees at `moments`, in frames from the pose's own time."""
        total = np.zeros((self._height, self._width, 3), np.float32)
        for moment in moments:
            seen = pose.position + pose.velocity * moment
            total += np.asarray(self._view(seen, pose.angle, pose.zoom), np.float32)
        rgb = np.round(total / len(moments)).astype(np.uint8)
        picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        return frame_from_av(picture.reformat(format="yuv420p"), pts=pts)

    def _view(self, at: NDArray[np.float64], angle: float, zoom: float) -> Image.Image:
        width, height = self._width, self._height
        cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
        centre_x, centre_y = at[0] + width / 2, at[1] + height / 2
        shift_x = centre_x - cos * width / 2 + sin * height / 2
        shift_y = centre_y - sin * width / 2 - cos * height / 2
        coefficients = (cos, -sin, shift_x, sin, cos, shift_y)
        return self._photo.transform(
            (width, height), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
        )
