"""Latency and capacity of every backend on a GPU: `python -m benchmarks.gpu_speed --out FILE.json`.

For each model, size and backend: one frame in a stream (p50, p95), the same as a plain window
network that extracts every frame anew, the ratio to eager float32 torch, and the share of what the
device reaches in a large matrix product. Then how many streams of 25 frames a second hold their
deadline together. Rows that are in FILE already are not measured again, and it is written after
every row, so that an interrupted run goes on where it stopped. The paper's EDVR-M and EDVR-L are
exported with random weights, once, beside FILE: their speed is that of trained ones.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.random_edvr import paper_model
from benchmarks.result_file import machine
from benchmarks.speed.candidates import moving_frames
from decoder.artefact import Artefact, find_artefact, list_artefacts
from decoder.backends import Backend, TensorRtConfig, TorchConfig, backend_config, open_backend
from decoder.backends.batching import batched_if_faster
from decoder.backends.contract import BackendConfig, OnnxRuntimeConfig, import_library
from decoder.backends.graph_cost import count_cost
from decoder.edge_padding import padded_size
from stream.errors import BackendError, BackendUnavailable
from stream.frame import Frame, Size

Row = dict[str, Any]  # Any: values for JSON

BACKENDS: dict[str, BackendConfig] = {
    "torch eager f32": TorchConfig(device="cuda", half=False),
    "torch eager f16": TorchConfig(device="cuda"),
    "torch compiled f16": TorchConfig(device="cuda", compiled=True),
    "torch compiled fused f16": TorchConfig(device="cuda", compiled=True, fused=True),
    "onnxruntime cuda f16": backend_config("onnxruntime-cuda"),
    "tensorrt-rtx f16": TensorRtConfig(library="tensorrt_rtx"),
    "tensorrt-rtx bf16": TensorRtConfig(library="tensorrt_rtx", half_type="bf16"),
    "tensorrt f16": TensorRtConfig(library="tensorrt"),
    "onnxruntime cpu f32": OnnxRuntimeConfig(),
}
"""The first one is what all others are compared with."""

OUTPUTS = (Size(width=1280, height=720), Size(width=1920, height=1080))
INTERVAL_MS = 40.0
STREAM_COUNTS = (1, 2, 4, 8, 16, 24, 32, 40, 48, 64, 96, 128)
STREAM_SECONDS = 4.0
LATE_SHARE = 0.01
"""Of the frames, that may miss their deadline before streams are too many."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing in the file. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file, kept up to date")
    parser.add_argument("--models", nargs="*", help="names or folders; all and EDVR-M, -L if none")
    parser.add_argument("--backends", nargs="*", choices=list(BACKENDS), default=list(BACKENDS))
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--no-streams", action="store_true", help="latency only")
    options = parser.parse_args(arguments)
    results = Results(options.out)
    for artefact in models(options.models, options.out.parent):
        for output in OUTPUTS:
            for name in options.backends:
                lr_size = lr_size_for(artefact, output)
                place = {"model": artefact.manifest.name, "lr_size": str(lr_size), "backend": name}
                print(place, flush=True)
                latency = partial(time_backend, artefact, lr_size, name, options.frames)
                results.add("latency", place, latency)
                if not options.no_streams and output == OUTPUTS[0]:
                    results.add("streams", place, partial(count_streams, artefact, lr_size, name))
    results.compare()
    return 0


class Results:
    """The rows of a file, by kind and place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content: dict[str, Any] = {"benchmark": "gpu_speed", "machine": machine(), "rows": []}
        if path.exists():
            self._content = json.loads(path.read_text(encoding="utf-8"))
        self._content["gpu"] = gpu_description()

    def add(self, kind: str, place: Row, measure: Callable[[], Row]) -> None:
        """Measure and write a row, unless it is there. What cannot run here is a row with why."""
        key = {"kind": kind, **place}
        if any(key.items() <= row.items() for row in self._content["rows"]):
            return
        try:
            figures = measure()
        except BackendError as error:
            figures = {"refused": str(error)}
        self._content["rows"].append(key | figures)
        self._write()

    def compare(self) -> None:
        """Give each latency its ratio to the first backend's."""
        base = {
            (row["model"], row["lr_size"]): row["p50_ms"]
            for row in self._content["rows"]
            if row["backend"] == next(iter(BACKENDS)) and "p50_ms" in row
        }
        for row in self._content["rows"]:
            reference_ms = base.get((row["model"], row["lr_size"]))
            if reference_ms is not None and "p50_ms" in row:
                row["times_eager_f32"] = round(reference_ms / row["p50_ms"], 2)
        self._write()

    def _write(self) -> None:
        scratch = self._path.with_suffix(".new")
        scratch.write_text(json.dumps(self._content, indent=1) + "\n", encoding="utf-8")
        scratch.replace(self._path)


def models(names: Sequence[str] | None, folder: Path) -> list[Artefact]:
    """What to measure; the paper's networks are exported into `folder` when they are not there."""
    if names:
        return [find_artefact(name) for name in names]
    return [*list_artefacts(), *(paper_model(size, folder) for size in ("edvr-m", "edvr-l"))]


def lr_size_for(artefact: Artefact, output: Size) -> Size:
    """What travels for an output of this size, in the model's multiples."""
    scale = artefact.manifest.scale
    size = Size(width=output.width // scale & ~1, height=output.height // scale & ~1)
    return padded_size(size, multiple_of=artefact.manifest.multiple_of)


def time_backend(artefact: Artefact, lr_size: Size, name: str, frames: int) -> Row:
    """Milliseconds a frame in a stream, and as a plain window network."""
    started_s = time.perf_counter()
    backend = open_backend(BACKENDS[name], artefact, lr_size)
    open_s = time.perf_counter() - started_s
    try:
        clip = moving_frames(lr_size, 8)
        stream_ms = time_frames(stream_of(backend, artefact.manifest.window, clip), frames)
        window = [clip[i % len(clip)] for i in range(artefact.manifest.window)]
        plain_ms = time_frames(
            lambda: backend.fuse([backend.extract(frame) for frame in window]), max(5, frames // 4)
        )
        macs = count_cost(artefact, lr_size).frame_macs
    finally:
        memory = memory_used_mib()
        backend.close()
    p50_ms = float(np.percentile(stream_ms, 50))
    row: Row = {
        "p50_ms": round(p50_ms, 3),
        "p95_ms": round(float(np.percentile(stream_ms, 95)), 3),
        "plain_window_p50_ms": round(float(np.percentile(plain_ms, 50)), 3),
        "tera_macs_per_s": round(macs / p50_ms / 1e9, 3),
        "open_s": round(open_s, 2),
        "gpu_memory_mib": memory,
    }
    if (peak := matrix_peak()) is not None:
        row["share_of_matrix_peak"] = round(macs / p50_ms / 1e9 / peak, 4)
    return row


def stream_of(backend: Backend, window: int, clip: Sequence[Frame]) -> Callable[[], object]:
    """A call that restores the next frame of a stream."""
    ring = [backend.extract(clip[0])] * window
    count = 0

    def restore() -> object:
        nonlocal count
        count += 1
        ring[:] = [*ring[1:], backend.extract(clip[count % len(clip)])]
        return backend.fuse(ring)

    return restore


def time_frames(restore: Callable[[], object], frames: int) -> list[float]:
    """Milliseconds of each call, after some that are not counted: engines settle first."""
    for _ in range(max(2, min(20, frames // 4))):
        restore()
    took_ms = []
    for _ in range(frames):
        started_s = time.perf_counter()
        restore()
        took_ms.append(1000 * (time.perf_counter() - started_s))
    return took_ms


def count_streams(artefact: Artefact, lr_size: Size, name: str) -> Row:
    """The most streams of 25 frames a second that hold their deadline together, as a receiver runs
    them: in batches where its library can and they are faster.
    """
    parent = open_backend(BACKENDS[name], artefact, lr_size)
    parent = batched_if_faster(parent, lr_size, window=artefact.manifest.window)
    most, trials = 0, []
    try:
        clip = moving_frames(lr_size, 8)
        for count in STREAM_COUNTS:
            late_share, p95_ms = run_streams(parent, artefact.manifest.window, clip, count)
            trials.append({"streams": count, "late_share": late_share, "p95_ms": p95_ms})
            if late_share > LATE_SHARE:
                break
            most = count
    finally:
        parent.close()
    return {"most_streams": most, "engine": parent.name, "trials": trials}


def run_streams(
    parent: Backend, window: int, clip: Sequence[Frame], count: int
) -> tuple[float, float]:
    """Share of frames that came out after the next one was due, and the p95 of their time in ms."""
    delays_ms: list[float] = []
    begin_s = time.perf_counter() + 0.5

    def run(number: int) -> None:
        backend = parent.sibling()
        restore = stream_of(backend, window, clip)
        restore()
        due_s = begin_s + number * INTERVAL_MS / 1000 / count  # cameras are not in step
        while due_s < begin_s + STREAM_SECONDS:
            time.sleep(max(0.0, due_s - time.perf_counter()))
            restore()
            delays_ms.append(1000 * (time.perf_counter() - due_s))
            due_s += INTERVAL_MS / 1000
        backend.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    late = sum(delay > INTERVAL_MS for delay in delays_ms)
    return round(late / len(delays_ms), 4), round(float(np.percentile(delays_ms, 95)), 2)


def matrix_peak() -> float | None:
    """Tera multiply-accumulates a second of a large float16 product on the GPU; None without."""
    try:
        torch = import_library("torch", extra="'edvr-live[train]'")
    except BackendUnavailable:
        return None
    if not torch.cuda.is_available():
        return None
    side = 8192
    a = torch.randn(side, side, device="cuda", dtype=torch.float16)
    took_s = []
    for _ in range(10):
        torch.cuda.synchronize()
        started_s = time.perf_counter()
        a @ a
        torch.cuda.synchronize()
        took_s.append(time.perf_counter() - started_s)
    return side**3 / min(took_s) / 1e12


def gpu_description() -> str | None:
    """Name, driver and memory as nvidia-smi tells them."""
    return _nvidia_smi("name,driver_version,memory.total")


def memory_used_mib() -> int | None:
    """On the first GPU, by all processes."""
    text = _nvidia_smi("memory.used")
    return None if text is None else int(text.split()[0])


def _nvidia_smi(fields: str) -> str | None:
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits", "-i", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.stdout.strip() or None


if __name__ == "__main__":
    raise SystemExit(main())
