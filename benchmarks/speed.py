"""How fast each model restores on each backend, against the classical upscaler in the same run."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from decoder.artefact import Artefact, find_artefact, list_artefacts
from decoder.backends import backend_config, open_backend
from decoder.backends.contract import BackendName
from decoder.edge_padding import pad_frame, padded_size
from decoder.lanczos import LanczosScaler
from encoder.downscale import Downscaler
from encoder.scene import Scene, SceneConfig
from stream.errors import BackendUnavailable
from stream.frame import Frame, Size

BACKENDS: tuple[BackendName, ...] = ("openvino", "onnxruntime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One row. Times in ms a frame; cpu_ms is processor time of all threads together."""

    name: str
    backend: str
    threads: int
    lr_size: str
    size: str
    p50_ms: float
    p95_ms: float
    cpu_ms: float

    @property
    def fps(self) -> float:
        """Frames a second, from the median."""
        return 1000 / self.p50_ms


def run_speed(
    models: tuple[str, ...], *, output: Size, frames: int, threads: tuple[int, ...]
) -> list[Timing]:
    """Time every model at the LR size that gives `output`, plus Lanczos; ConfigError if unknown."""
    artefacts = [find_artefact(name) for name in models] if models else list_artefacts()
    rows = []
    for scale in sorted({artefact.manifest.scale for artefact in artefacts}):
        lr_size = Size(width=output.width // scale & ~1, height=output.height // scale & ~1)
        clip = moving_frames(lr_size, frames)
        rows.append(_time_lanczos(clip, output))
        for artefact in artefacts:
            if artefact.manifest.scale != scale:
                continue
            for backend in BACKENDS:
                for count in threads:
                    row = _time_model(artefact, backend, count, clip, output)
                    rows += [row] if row is not None else []
    return rows


def moving_frames(size: Size, count: int) -> list[Frame]:
    """Frames of the generated scene at `size`."""
    scene, downscaler = Scene(SceneConfig(duration_s=count / 25)), Downscaler()
    return [downscaler.downscale(scene.frame(index), size=size) for index in range(count)]


def _time_model(
    artefact: Artefact, backend_name: BackendName, threads: int, clip: list[Frame], output: Size
) -> Timing | None:
    manifest = artefact.manifest
    padded = padded_size(clip[0].size, multiple_of=manifest.multiple_of)
    try:
        backend = open_backend(backend_config(backend_name, threads=threads), artefact, padded)
    except BackendUnavailable:
        return None
    ring = [backend.extract(pad_frame(clip[0], padded))] * manifest.window
    timings: list[float] = []
    before = _cpu_ms()
    for frame in clip:
        started = time.perf_counter()
        ring = [*ring[1:], backend.extract(pad_frame(frame, padded))]
        backend.fuse(ring)
        timings.append(1000 * (time.perf_counter() - started))
    cpu_ms = (_cpu_ms() - before) / len(clip)
    backend.close()
    return _row(manifest.name, backend.name, threads, clip, output, timings, cpu_ms)


def _time_lanczos(clip: list[Frame], output: Size) -> Timing:
    scaler = LanczosScaler(output)
    timings, before = [], _cpu_ms()
    for frame in clip:
        started = time.perf_counter()
        scaler.scale(frame)
        timings.append(1000 * (time.perf_counter() - started))
    cpu_ms = (_cpu_ms() - before) / len(clip)
    return _row("lanczos", "swscale", 1, clip, output, timings, cpu_ms)


def _row(
    name: str,
    backend: str,
    threads: int,
    clip: list[Frame],
    output: Size,
    timings: list[float],
    cpu_ms: float,
) -> Timing:
    settled = timings[len(timings) // 5 :]  # the first ones fill caches
    return Timing(
        name=name,
        backend=backend,
        threads=threads,
        lr_size=str(clip[0].size),
        size=str(output),
        p50_ms=round(float(np.percentile(settled, 50)), 2),
        p95_ms=round(float(np.percentile(settled, 95)), 2),
        cpu_ms=round(cpu_ms, 2),
    )


def _cpu_ms() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return 1000 * (used.ru_utime + used.ru_stime)


def as_rows(timings: list[Timing]) -> list[dict[str, Any]]:
    """For JSON, with each row's ratio to Lanczos at the same sizes. Any: values for JSON."""
    base = {row.lr_size: row.p50_ms for row in timings if row.name == "lanczos"}
    return [
        {
            "name": row.name,
            "backend": row.backend,
            "threads": row.threads,
            "lr_size": row.lr_size,
            "size": row.size,
            "fps": round(row.fps, 1),
            "p50_ms": row.p50_ms,
            "p95_ms": row.p95_ms,
            "cpu_ms": row.cpu_ms,
            "times_lanczos": round(row.p50_ms / base[row.lr_size], 1),
        }
        for row in timings
    ]
