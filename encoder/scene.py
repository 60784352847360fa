"""The generated test scene: the project's own demo clip, from nothing but seeded noise. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from encoder.scene_layer import Planes
from encoder.scene_street import StreetShot
from encoder.scene_studio import StudioShot
from stream.errors import ConfigError
from stream.frame import CLOCK_HZ, NEUTRAL_CHROMA, Colour, Frame, Size

SHOT_S = 5.0
"""Length of a shot where the scene is endless; a scene of limited length is cut at its half."""

BT709 = Colour(primaries=1, transfer=1, matrix=1)


class Shot(Protocol):
    """One camera position: paints any moment of it."""

    def draw(self, planes: Planes, time_s: float) -> None:
        """Paint the moment into (y, u, v) in place, covering all of it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneConfig:
    """size: even. duration_s: None for endless, with a cut every SHOT_S seconds."""

    size: Size = Size(width=1280, height=720)
    fps: float = 25.0
    duration_s: float | None = None

    def __post_init__(self) -> None:
        """Raises ConfigError."""
        if not self.size.is_even:
            raise ConfigError(f"the test scene needs an even size, not {self.size}")
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise ConfigError(f"fps must be a positive number, not {self.fps}")
        if self.duration_s is not None and not (
            math.isfinite(self.duration_s) and self.duration_s > 0
        ):
            raise ConfigError(f"the duration must be a positive number, not {self.duration_s}")


class Scene:
    """Renders frame by index; the same index gives the same frame, in any order of asking."""

    def __init__(self, config: SceneConfig | None = None) -> None:
        """Paints both shots once, which takes some seconds at 720p."""
        self._config = SceneConfig() if config is None else config
        width, height = self._config.size.width, self._config.size.height
        self._shots: list[Shot] = [StreetShot(width, height), StudioShot(width, height)]

    @property
    def frame_count(self) -> int | None:
        """How many frames there are (at least one); None for endless."""
        if self._config.duration_s is None:
            return None
        return max(1, round(self._config.duration_s * self._config.fps))

    def pts(self, index: int) -> int:
        """Time of a frame in 1/90000 s."""
        return round(index * CLOCK_HZ / self._config.fps)

    def frame(self, index: int) -> Frame:
        """Render frame `index` >= 0 (BT.709, limited range)."""
        time_s = index / self._config.fps
        if self.frame_count is None:
            shots_before = math.floor(time_s / SHOT_S + 1e-9)  # a frame exactly on the cut is new
            shot = shots_before % 2
            shot_time_s = time_s - SHOT_S * (shots_before - shots_before // 2)
        else:
            first_of_second = (self.frame_count + 1) // 2
            shot = int(index >= first_of_second)
            shot_time_s = (index - shot * first_of_second) / self._config.fps
        width, height = self._config.size.width, self._config.size.height
        planes = (
            np.full((height, width), 16, np.uint8),
            np.full((height // 2, width // 2), NEUTRAL_CHROMA, np.uint8),
            np.full((height // 2, width // 2), NEUTRAL_CHROMA, np.uint8),
        )
        self._shots[shot].draw(planes, shot_time_s)
        return Frame(y=planes[0], u=planes[1], v=planes[2], pts=self.pts(index), colour=BT709)
