"""The process that measures one job: `python -m benchmarks.speed.worker JOB`, a timing on stdout.

A process for each, since memory is counted by process and thread pools outlive what they were for.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.speed.candidates import DISTINCT_FRAMES, moving_frames, open_candidate
from benchmarks.speed.measurement import Job, Timing
from stream.errors import BackendUnavailable, ConfigError, EdvrError

EXIT_UNAVAILABLE = 3

_RSS = re.compile(r"maxrss=(\d+)")
_TIMES = re.compile(r"utime=([\d.]+)s stime=([\d.]+)s rtime=([\d.]+)s")


def measure(job: Job) -> Timing:
    """Do what the job says. Raises BackendUnavailable for a library that is not installed."""
    match job.kind:
        case "ffmpeg":
            return _measure_ffmpeg(job)
        case "edvr-m":
            return _measure_paper(job)
    clip = moving_frames(job.lr_size, min(job.frames, DISTINCT_FRAMES))
    before_mb = _peak_mb()
    candidate = open_candidate(job)
    for index in range(max(2, job.frames // 5)):  # the first ones fill caches and make buffers
        candidate.step(clip[index % len(clip)])
    took_ms: list[float] = []
    cpu_before_ms = _cpu_ms()
    for index in range(job.frames):
        started_s = time.perf_counter()
        candidate.step(clip[index % len(clip)])
        took_ms.append(1000 * (time.perf_counter() - started_s))
    return _timing(
        candidate.backend,
        took_ms,
        cpu_ms=(_cpu_ms() - cpu_before_ms) / job.frames,
        before_mb=before_mb,
        macs=candidate.macs,
    )


def _measure_paper(job: Job) -> Timing:
    before_mb = _peak_mb()
    try:
        from decoder.edvr.eager_speed import time_eager
    except ImportError as error:
        raise BackendUnavailable("EDVR-M needs torch: pip install 'edvr-live[train]'") from error
    before_cpu_ms = _cpu_ms()
    took_ms, macs = time_eager(job.lr_size, frames=job.frames, threads=job.threads)
    cpu_ms = (_cpu_ms() - before_cpu_ms) / (job.frames + 1)  # one more, to warm up
    return _timing("torch eager f32", took_ms, cpu_ms=cpu_ms, before_mb=before_mb, macs=macs)


def _timing(
    backend: str, took_ms: list[float], *, cpu_ms: float, before_mb: float, macs: int | None
) -> Timing:
    p50, p95, p99 = (round(float(np.percentile(took_ms, share)), 2) for share in (50, 95, 99))
    peak_mb = _peak_mb()
    return Timing(
        backend=backend,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        cpu_ms=round(cpu_ms, 2),
        peak_mb=round(peak_mb, 1),
        opened_mb=round(peak_mb - before_mb, 1),
        macs=macs,
    )


def _measure_ffmpeg(job: Job) -> Timing:
    """By the difference of a long and a short run, so that its start does not count."""
    try:
        import imageio_ffmpeg

        program = str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise BackendUnavailable("ffmpeg needs: pip install 'edvr-live[bench]'") from error
    clip = moving_frames(job.lr_size, DISTINCT_FRAMES)
    with tempfile.TemporaryDirectory(prefix="edvr-speed-") as folder:
        raw = Path(folder) / "clip.yuv"
        raw.write_bytes(
            b"".join(plane.tobytes() for frame in clip for plane in (frame.y, frame.u, frame.v))
        )
        short, long = (_run_ffmpeg(program, job, raw, repeats) for repeats in (0, job.frames))
    frames = len(clip) * job.frames
    wall_ms = 1000 * (long[1] - short[1]) / frames
    if wall_ms <= 0:
        raise ConfigError("ffmpeg's times make no sense: the machine is too busy")
    return Timing(
        backend="ffmpeg",
        p50_ms=round(wall_ms, 3),
        p95_ms=None,
        p99_ms=None,
        cpu_ms=round(1000 * (long[0] - short[0]) / frames, 3),
        peak_mb=round(long[2], 1),
        opened_mb=round(long[2], 1),
        macs=None,
    )


def _run_ffmpeg(program: str, job: Job, raw: Path, repeats: int) -> tuple[float, float, float]:
    """Processor seconds, wall seconds and peak MB of one run over raw I420 frames."""
    threads = str(job.threads)
    command = [program, "-v", "info", "-benchmark", "-filter_threads", threads]
    command += ["-stream_loop", str(repeats)]
    command += ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", job.lr, "-i", str(raw)]
    scale = f"scale={job.hr.replace('x', ':')}:flags=lanczos:threads={threads}"
    command += ["-vf", scale, "-f", "null", "-"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    said = done.stderr.decode(errors="replace")
    times, rss = _TIMES.search(said), _RSS.search(said)
    if done.returncode or times is None or rss is None:
        raise ConfigError(f"ffmpeg failed: {said.strip().splitlines()[-1]}")
    user_s, system_s, wall_s = map(float, times.groups())
    return user_s + system_s, wall_s, int(rss[1]) / 1024


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _cpu_ms() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return 1000 * (used.ru_utime + used.ru_stime)


def main() -> int:
    """Measure the job on the command line; returns the exit code."""
    try:
        print(measure(Job(**json.loads(sys.argv[1]))).to_json())
    except BackendUnavailable as error:
        print(error, file=sys.stderr)
        return EXIT_UNAVAILABLE
    except EdvrError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
