"""One frame's work in each way that is compared: a function to call with each frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from benchmarks.random_edvr import paper_model
from benchmarks.speed.measurement import Job
from decoder.artefact import Artefact, find_artefact
from decoder.backends import BackendName, backend_config, open_backend
from decoder.backends.graph_cost import count_cost
from decoder.calibration_cache import cache_folder
from decoder.edge_padding import pad_frame, padded_size
from decoder.lanczos import LanczosScaler
from encoder.downscale import Downscaler
from encoder.scene import Scene, SceneConfig
from stream.errors import ConfigError
from stream.frame import Frame, Size

BACKENDS: tuple[BackendName, ...] = tuple(name for name in get_args(BackendName) if name != "auto")

DISTINCT_FRAMES = 8
"""Pictures that a run goes through again and again: what they show costs next to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """step: takes the next frame and does all the work of one. macs: of its convolutions."""

    backend: str
    step: Callable[[Frame], object]
    macs: int | None


def moving_frames(size: Size, count: int) -> list[Frame]:
    """Frames of the generated scene at `size`."""
    scene, downscaler = Scene(SceneConfig(duration_s=count / 25)), Downscaler()
    frames = []
    for index in range(count):
        frame = scene.frame(index)
        if size.width <= frame.size.width:
            frame = downscaler.downscale(frame, size=size)
        else:
            frame = LanczosScaler(size).scale(frame)
        frames.append(frame)
    return frames


def open_candidate(job: Job) -> Candidate:
    """Open what `job` names. Raises ConfigError and BackendError when it cannot be."""
    match job.kind:
        case "model" | "uncached":
            return _open_model(job, find_artefact(job.name))
        case "edvr-m-stream":
            return _open_model(job, paper_model("edvr-m", cache_folder() / "benchmarks"))
        case "lanczos":
            scaler = LanczosScaler(job.hr_size)
            return Candidate(backend="swscale", step=scaler.scale, macs=None)
        case "fsrcnn" | "espcn" | "peak":
            from benchmarks.speed.openvino_nets import open_network

            return open_network(job)
        case _:
            raise ConfigError(f"{job.kind} is not measured frame by frame")


def _open_model(job: Job, artefact: Artefact) -> Candidate:
    name = next((each for each in BACKENDS if each == job.backend), None)
    if name is None:
        raise ConfigError(f"unknown backend {job.backend!r}")
    manifest = artefact.manifest
    padded = padded_size(job.lr_size, multiple_of=manifest.multiple_of)
    backend = open_backend(backend_config(name, threads=job.threads), artefact, padded)
    cost = count_cost(artefact, padded)
    window = manifest.window
    if job.kind == "uncached":
        frames: list[Frame] = []

        def restore_all(frame: Frame) -> object:
            frames.append(pad_frame(frame, padded))
            del frames[:-window]
            first = [frames[0]] * (window - len(frames))
            return backend.fuse([backend.extract(each) for each in (*first, *frames)])

        macs = window * cost.extract_macs + cost.fuse_macs
        return Candidate(backend=backend.name, step=restore_all, macs=macs)
    ring: list[object] = []

    def restore(frame: Frame) -> object:
        newest = backend.extract(pad_frame(frame, padded))
        ring.append(newest)
        del ring[:-window]
        first = [ring[0]] * (window - len(ring))
        return backend.fuse([*first, *ring])  # type: ignore[list-item] # opaque handles

    return Candidate(backend=backend.name, step=restore, macs=cost.frame_macs)
