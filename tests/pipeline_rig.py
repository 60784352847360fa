"""A pipeline with real sinks, and publishers that put marked pictures into their buffers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from decoder.config import RestorerConfig
from decoder.pipeline import Pipeline
from decoder.restorer import Restorer
from stream.audio import AudioChunk
from stream.buffer import LatestBuffer
from stream.errors import EdvrError
from stream.frame import Frame, Size
from tests.marked_pictures import STEP, marked

LR, HR = Size(width=160, height=96), Size(width=320, height=192)
LANCZOS = RestorerConfig(size=HR, model="lanczos")


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """The buffers of one session."""

    video: LatestBuffer[Frame] = field(default_factory=lambda: LatestBuffer(20))
    audio: LatestBuffer[AudioChunk] = field(default_factory=lambda: LatestBuffer(250))

    def put(
        self, number: int, *, size: Size = LR, pts: int | None = None, is_damaged: bool = False
    ) -> None:
        frame = replace(marked(number, size=size, pts=pts), is_damaged=is_damaged)
        self.video.put(replace(frame, entered_ms=1000 * time.monotonic()))

    def end(self) -> None:
        self.video.close()
        self.audio.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    pipeline: Pipeline
    failures: list[EdvrError]

    def publish(self) -> Publisher:
        publisher = Publisher()
        self.pipeline.attach(publisher.video, publisher.audio)
        return publisher

    def restored(self, count: int) -> None:
        """Wait until so many frames were handed out."""
        wait_until(lambda: self.pipeline.counts().frames_restored >= count)


@contextmanager
def running(
    *outputs: str, restorer: Callable[[], Restorer] = lambda: Restorer(LANCZOS)
) -> Iterator[Rig]:
    failures: list[EdvrError] = []
    pipeline = Pipeline("live", restorer, outputs or ("null:",), on_failure=failures.append)
    try:
        yield Rig(pipeline=pipeline, failures=failures)
    finally:
        pipeline.close()


def wait_until(holds: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def is_empty(buffer: LatestBuffer[Frame]) -> bool:
    return len(buffer) == 0


def play(
    rig: Rig, publisher: Publisher, numbers: range, *, first_pts: int = 0, step: int = STEP
) -> None:
    """Put frames as fast as they are taken, so that none is dropped.

    step: from pts to pts; the larger, the more time a frame may take before a machine is too slow.
    """
    for number in numbers:
        publisher.put(number, pts=first_pts + number * step)
        wait_until(lambda: len(publisher.video) < 10)
