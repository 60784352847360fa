"""What other weights cost a running stream: `python -m benchmarks.weight_swap`.

For each shipped model and CPU backend, at 25 frames a second: how long coding, decoding and opening
take, and how long frames take alone, while the networks are opened beside them, and while the
picture fades over. One JSON object a line, with the machine. Weights change at random, by about
as much as adaptation changes them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np

from benchmarks.result_file import machine
from benchmarks.speed.candidates import moving_frames
from decoder.adapted_artefact import AdaptedWeights, adaptable_shapes
from decoder.artefact import Artefact, list_artefacts
from decoder.config import DEFAULT_SIZE, RestorerConfig
from decoder.restorer import Restorer
from decoder.tier_switch import FADE_FRAMES
from stream.frame import CLOCK_HZ, Size
from stream.weight_chain import WeightChain
from stream.weight_delta import (
    DeltaHeader,
    DeltaLimits,
    QuantisedTensor,
    decode_delta,
    encode_delta,
)

INTERVAL_S = 0.04
ALONE_FRAMES = 60
LIMIT_S = 60.0
BITS = 3
ZERO_SHARE = 0.8
"""Of the changes: about what training under a rate penalty leaves."""
CHANGE_RATIO = 0.03
"""Step of a tensor's changes over the root mean square of its weights."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", nargs="+", help="names of shipped models; all unless given")
    parser.add_argument("--backends", nargs="+", default=["openvino", "onnxruntime"])
    options = parser.parse_args(arguments)
    print(json.dumps({"machine": machine()}))
    for artefact in list_artefacts():
        if not options.models or artefact.manifest.name in options.models:
            container, coded = code(artefact)
            for backend in options.backends:
                weights = decoded(artefact, container)
                row = {"model": artefact.manifest.name, "backend": backend, **coded}
                print(json.dumps(row | swap(artefact, backend, weights)), flush=True)
    return 0


def code(artefact: Artefact, *, seed: int = 1) -> tuple[bytes, dict[str, Any]]:  # Any: for JSON
    """A delta of all weights, and what coding it took."""
    rng = np.random.default_rng(seed)
    shapes = adaptable_shapes(artefact)
    tensors = {
        name: QuantisedTensor(
            values=(rng.choice((-1, 1), shape) * (rng.random(shape) > ZERO_SHARE)).astype(np.int16),
            scale=CHANGE_RATIO * 0.05,
            bits=BITS,
        )
        for name, shape in shapes.items()
    }
    header = DeltaHeader(base_sha256=artefact.sha256)
    started_s = time.perf_counter()
    container = encode_delta(header, tensors, expected_shapes=shapes)
    coding_ms = 1000 * (time.perf_counter() - started_s)
    started_s = time.perf_counter()
    decoded(artefact, container)
    decoding_ms = 1000 * (time.perf_counter() - started_s)
    weights = sum(tensor.values.size for tensor in tensors.values())
    return container, {
        "weights": weights,
        "bytes": len(container),
        "bits_per_weight": round(8 * len(container) / weights, 3),
        "coding_ms": round(coding_ms, 1),
        "decoding_ms": round(decoding_ms, 1),
    }


def decoded(artefact: Artefact, container: bytes) -> AdaptedWeights:
    """As a receiver takes it."""
    shapes = adaptable_shapes(artefact)
    delta = decode_delta(container, limits=DeltaLimits(), expected_shapes=shapes)
    return AdaptedWeights(
        base_sha256=artefact.sha256,
        changes=WeightChain(artefact.sha256).apply(delta),
        digest=delta.digest,
        label="measured weights",
    )


def swap(
    artefact: Artefact,
    backend: Literal["openvino", "onnxruntime"],
    weights: AdaptedWeights,
    *,
    size: Size = DEFAULT_SIZE,
) -> dict[str, Any]:  # Any: for JSON
    """Go over to `weights` in a stream of 25 frames a second."""
    scale = artefact.manifest.scale
    frames = moving_frames(Size(width=size.width // scale, height=size.height // scale), 8)
    config = RestorerConfig(size=size, model=str(artefact.folder), backend=backend)
    restorer = Restorer(config)
    count, came_out = 0, 0

    def play(frame_count: int, *, until_adapted: bool = False) -> list[float]:
        nonlocal count, came_out
        took_ms: list[float] = []
        started_s = time.perf_counter()
        while len(took_ms) < frame_count:
            begun_s = time.perf_counter()
            frame = frames[count % len(frames)].at(count * CLOCK_HZ // 25)
            came_out += len(restorer.push(frame))
            count += 1
            ended_s = time.perf_counter()
            took_ms.append(1000 * (ended_s - begun_s))
            if until_adapted and restorer.weights_name is not None:
                break
            if until_adapted and ended_s - started_s > LIMIT_S:
                raise TimeoutError("the weights were never used")
            time.sleep(max(0.0, INTERVAL_S - (ended_s - begun_s)))
        return took_ms

    try:
        alone_ms = play(ALONE_FRAMES)[10:]
        started_s = time.perf_counter()
        restorer.adapt(weights)
        *opening_ms, first_ms = play(10**6, until_adapted=True)
        open_s = time.perf_counter() - started_s
        fading_ms = [first_ms, *play(FADE_FRAMES - 1)]
        came_out += len(restorer.flush())
        return {
            "alone_ms": _summary(alone_ms),
            "opening_s": round(open_s, 2),
            "opening_ms": _summary(opening_ms or [first_ms]),
            "fading_ms": [round(each, 1) for each in fading_ms],
            "frames_missing": count - came_out,
            "counts": asdict(restorer.counts),
        }
    finally:
        restorer.close()


def _summary(took_ms: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.percentile(took_ms, (50, 95))
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "max": round(max(took_ms), 1)}


if __name__ == "__main__":
    raise SystemExit(main())
