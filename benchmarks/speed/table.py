"""Timings side by side, with ratios. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.speed.measurement import Job, Timing

COLUMNS = {
    "": "name",
    "backend": "backend",
    "threads": "threads",
    "fps": "fps",
    "p50\nms": "p50_ms",
    "p95\nms": "p95_ms",
    "p99\nms": "p99_ms",
    "CPU\nms": "cpu_ms",
    "peak\nMB": "peak_mb",
    "of\npeak": "share_of_peak",
    "times\nLanczos": "times_lanczos",
    "faster\nthan plain": "times_plain",
    "faster\nthan eager": "times_eager",
}
"""What people are shown of each row, under which heading; the file has more."""

_LABELS = {
    "uncached": "{name}, whole window each frame",
    "edvr-m": "{name}, whole window each frame",
}


def as_rows(measured: Sequence[tuple[Job, Timing]]) -> list[dict[str, Any]]:
    """For JSON, in the order measured; the machine's limits are left out.

    times_lanczos: how many times the median of Lanczos at the same sizes. times_eager: how many
    times as fast as the paper's network in eager torch at the same sizes. times_plain: how many
    times as fast as the same model with its whole window each frame in ONNX Runtime. share_of_peak:
    of the multiply-accumulates a second that plain convolutions reach in the same precision with as
    many threads. Any: values for JSON.
    """
    lanczos = {(job.lr, job.hr): timing.p50_ms for job, timing in measured if job.kind == "lanczos"}
    eager = {(job.lr, job.hr): timing.p50_ms for job, timing in measured if job.kind == "edvr-m"}
    plain = {
        (job.name, job.lr, job.hr, job.threads): timing.p50_ms
        for job, timing in measured
        if job.kind == "uncached" and job.backend == "onnxruntime"
    }
    peaks = peak_gmacs(measured)
    rows = []
    for job, timing in measured:
        if job.kind == "peak":
            continue
        base_ms, eager_ms = (of.get((job.lr, job.hr)) for of in (lanczos, eager))
        is_paper = job.kind in ("edvr-m", "edvr-m-stream")
        peak = peaks.get((_precision(timing.backend), job.threads))
        gmacs = timing.gmacs_per_s
        plain_ms = plain.get((job.name, job.lr, job.hr, job.threads))
        rows.append(
            {
                "name": _LABELS.get(job.kind, "{name}").format(name=job.name),
                "backend": timing.backend,
                "threads": job.threads,
                "lr_size": job.lr,
                "size": job.hr,
                "fps": round(timing.fps, 1),
                "p50_ms": timing.p50_ms,
                "p95_ms": timing.p95_ms,
                "p99_ms": timing.p99_ms,
                "cpu_ms": timing.cpu_ms,
                "peak_mb": timing.peak_mb,
                "opened_mb": timing.opened_mb,
                "gmac": None if timing.macs is None else round(timing.macs / 1e9, 2),
                "gmac_per_s": None if gmacs is None else round(gmacs, 1),
                "share_of_peak": None if gmacs is None or not peak else round(gmacs / peak, 2),
                "times_lanczos": None if base_ms is None else round(timing.p50_ms / base_ms, 1),
                "times_plain": None if plain_ms is None else round(plain_ms / timing.p50_ms, 2),
                "times_eager": round(eager_ms / timing.p50_ms, 2)
                if is_paper and eager_ms
                else None,
            }
        )
    return rows


def as_tables(rows: Sequence[dict[str, Any]]) -> dict[str, list[list[str]]]:
    """Cells in the order of COLUMNS, by what is enlarged to what."""
    tables: dict[str, list[list[str]]] = {}
    for row in rows:
        cells = [_cell(row[key]) for key in COLUMNS.values()]
        tables.setdefault(f"{row['lr_size']} to {row['size']}", []).append(cells)
    return tables


def peak_gmacs(measured: Sequence[tuple[Job, Timing]]) -> dict[tuple[str, int], float]:
    """Billions of multiply-accumulates a second at best, by precision and threads."""
    peaks: dict[tuple[str, int], float] = {}
    for job, timing in measured:
        if job.kind == "peak" and timing.gmacs_per_s is not None:
            key = (_precision(timing.backend), job.threads)
            peaks[key] = max(peaks.get(key, 0.0), timing.gmacs_per_s)
    return peaks


def _cell(value: float | str | None) -> str:
    """Three digits or more of a number."""
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return "" if value is None else str(value)


def _precision(backend: str) -> str:
    return backend.rpartition(" ")[2]
