"""The generated test scene as a source."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from encoder.frame_rate import FrameRateLimiter
from encoder.scene import Scene, SceneConfig
from encoder.scene_sound import sound
from encoder.source import SourceConfig, SourceInfo
from encoder.source_url import SourceAddress
from stream.audio import AudioChunk, video_pts
from stream.frame import Frame

CHUNK_SAMPLES = 960
"""20 ms at 48 kHz."""


class SceneSource:
    """Renders the scene as fast as it is read: pictures, and a beep on each full second.

    With `loop`, a scene of limited length starts again with timestamps going on.
    """

    def __init__(self, address: SourceAddress, config: SourceConfig) -> None:
        defaults = SceneConfig()
        scene_config = SceneConfig(
            size=address.size or defaults.size,
            fps=address.fps or defaults.fps,
            duration_s=address.duration_s,
        )
        self._scene = Scene(scene_config)
        self._loops = config.loop
        self._limiter = None if config.fps is None else FrameRateLimiter(config.fps)
        self._closed = threading.Event()
        self._info = SourceInfo(
            name="test scene",
            size=scene_config.size,
            fps=scene_config.fps if config.fps is None else min(scene_config.fps, config.fps),
            has_audio=config.audio,
            is_live=False,
        )
        self._items = self._generate()

    @property
    def info(self) -> SourceInfo:
        """What it is."""
        return self._info

    @property
    def corrupt_packets(self) -> int:
        """Always 0: nothing is decoded."""
        return 0

    def read(self) -> Frame | AudioChunk | None:
        """The next picture or stretch of sound, in order of time; None at the end."""
        return None if self._closed.is_set() else next(self._items, None)

    def close(self) -> None:
        """Stop; `read` returns None from now on."""
        self._closed.set()

    def _generate(self) -> Iterator[Frame | AudioChunk]:
        scene = self._scene
        sample = index = 0
        while scene.frame_count is None or self._loops or index < scene.frame_count:
            pts = scene.pts(index)
            while self._info.has_audio and video_pts(sample) < pts:
                yield AudioChunk(samples=sound(sample, CHUNK_SAMPLES), pts=sample)
                sample += CHUNK_SAMPLES
            if self._limiter is None or self._limiter.keep(pts):
                picture = index if scene.frame_count is None else index % scene.frame_count
                yield scene.frame(picture).at(pts)
            index += 1
