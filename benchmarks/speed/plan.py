"""Which jobs a run has, in order, and how one is run."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence

from benchmarks.speed.candidates import BACKENDS
from benchmarks.speed.measurement import Job, Kind, Timing
from benchmarks.speed.worker import EXIT_UNAVAILABLE
from decoder.artefact import find_artefact, list_artefacts
from decoder.backends import BackendName
from stream.errors import ConfigError
from stream.frame import Size

log = logging.getLogger(__name__)

PEAK_GRIDS = ("160x90", "320x180")
"""Grids that the networks here work on; the faster of the two is the machine's limit."""

PAPER_SCALE, PAPER_FRAMES = 4, 2
"""EDVR-M enlarges by 4, and takes seconds for a frame."""

CPU_BACKENDS: tuple[BackendName, ...] = ("openvino", "onnxruntime")
"""A processor's, which the plain window and the paper's network are measured on."""

TIMEOUT_S = 900.0


def plan(
    models: Sequence[str],
    *,
    outputs: Sequence[Size],
    threads: Sequence[int],
    frames: int,
    with_peers: bool,
) -> list[Job]:
    """All jobs for these models (none named: all installed). Raises ConfigError if unknown."""
    artefacts = [find_artefact(name) for name in models] if models else list_artefacts()
    by_scale: dict[int, list[str]] = {}
    for artefact in artefacts:
        name = str(artefact.folder) if models else artefact.manifest.name
        by_scale.setdefault(artefact.manifest.scale, []).append(name)
    jobs = [
        Job(
            kind="peak",
            name="convolutions",
            backend=precision,
            threads=count,
            lr=grid,
            hr=grid,
            frames=frames,
        )
        for count in threads
        for precision in ("bf16", "f32")
        for grid in PEAK_GRIDS
    ]
    for output in outputs:
        for scale, names in sorted(by_scale.items()):
            jobs += _jobs_at(scale, names, output, threads, frames, with_peers)
    return jobs


def run_job(job: Job) -> Timing | None:
    """Measure it in a process of its own; None, with a word in the log, where it is not possible.

    Raises ConfigError when it fails.
    """
    command = [sys.executable, "-m", "benchmarks.speed.worker", job.to_json()]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"{job.kind} {job.name} took over {TIMEOUT_S:g} s") from error
    lines = done.stderr.strip().splitlines() or ["no reason given"]
    if done.returncode == EXIT_UNAVAILABLE:
        log.warning("left out: %s", lines[-1])
        return None
    if done.returncode:
        raise ConfigError(f"{job.kind} {job.name} on {job.backend or 'cpu'}: {lines[-1]}")
    return Timing(**json.loads(done.stdout.splitlines()[-1]))


def _jobs_at(
    scale: int,
    names: Sequence[str],
    output: Size,
    threads: Sequence[int],
    frames: int,
    with_peers: bool,
) -> Iterator[Job]:
    lr = f"{output.width // scale & ~1}x{output.height // scale & ~1}"

    def job(kind: Kind, name: str, backend: str, count: int, *, frames: int = frames) -> Job:
        return Job(
            kind=kind,
            name=name,
            backend=backend,
            threads=count,
            lr=lr,
            hr=str(output),
            frames=frames,
        )

    yield job("lanczos", "lanczos", "swscale", 1)
    for name in names:
        for backend in BACKENDS:
            for count in threads:
                yield job("model", name, backend, count)
    if not with_peers:
        return
    most = max(threads)
    yield job("ffmpeg", "lanczos by ffmpeg", "ffmpeg", most)
    for name in names:
        for backend in CPU_BACKENDS:
            yield job("uncached", name, backend, most)
    yield job("fsrcnn", "FSRCNN, luma", "bf16", most)
    yield job("espcn", "ESPCN, luma", "bf16", most)
    if scale == PAPER_SCALE:
        yield job("edvr-m", "EDVR-M of the paper", "torch", most, frames=PAPER_FRAMES)
        for backend in CPU_BACKENDS:
            yield job("edvr-m-stream", "EDVR-M of the paper", backend, most, frames=PAPER_FRAMES)
