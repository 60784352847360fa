"""What is measured, and what came out: the words between the parent and its workers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from stream.config import parse_size
from stream.frame import Size

Kind = Literal[
    "model",
    "uncached",
    "lanczos",
    "ffmpeg",
    "fsrcnn",
    "espcn",
    "edvr-m",
    "edvr-m-stream",
    "peak",
]
"""model: a model as the receiver runs it. uncached: the same, extracting the whole window for each
frame. lanczos: swscale as the receiver uses it; ffmpeg: the same filter by the ffmpeg program.
fsrcnn, espcn: single-frame networks. edvr-m: the paper's network with random weights, eager
torch, the whole window a frame; edvr-m-stream: the same as the receiver would run it. peak:
convolutions that suit the processor, for its limit.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One thing to time. name: of the model. backend: where it runs; "" where there is no choice.

    lr: the size that comes in; hr: the size that goes out, both WIDTHxHEIGHT.
    """

    kind: Kind
    name: str
    backend: str
    threads: int
    lr: str
    hr: str
    frames: int

    @property
    def lr_size(self) -> Size:
        """The size that comes in."""
        return parse_size(self.lr)

    @property
    def hr_size(self) -> Size:
        """The size that goes out."""
        return parse_size(self.hr)

    def to_json(self) -> str:
        """For the worker's command line."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Times of one frame in ms. p95, p99: None where only a mean can be had.

    cpu_ms: processor time of all threads. peak_mb: the whole process at its largest, of which
    opened_mb came after its libraries and pictures were loaded. macs: multiply-accumulates of a
    frame's convolutions, None where nobody counts them.
    """

    backend: str
    p50_ms: float
    p95_ms: float | None
    p99_ms: float | None
    cpu_ms: float
    peak_mb: float
    opened_mb: float
    macs: int | None

    @property
    def fps(self) -> float:
        """Frames a second, from the median."""
        return 1000 / self.p50_ms

    @property
    def gmacs_per_s(self) -> float | None:
        """Billions of multiply-accumulates a second."""
        return None if self.macs is None else self.macs / self.p50_ms / 1e6

    def to_json(self) -> str:
        """For the parent."""
        return json.dumps(asdict(self))
