"""Frames of several streams at once: the same pictures, nobody waits for others to come."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from decoder.artefact import Artefact, find_artefact
from decoder.artefact_reference import Planes
from decoder.backends import Backend, OnnxRuntimeConfig, TorchConfig, open_backend
from decoder.backends import engine_pool as engine_pool_module
from decoder.backends.batching import (
    BATCH_FRAMES,
    BatchedBackend,
    BatchedStream,
    Batcher,
    batched_if_faster,
    is_worthwhile,
)
from decoder.backends.contract import Features
from decoder.backends.torch_graph import TorchBackend
from stream.errors import InferenceFailed
from stream.frame import Frame, Size
from tests.pipeline_rig import wait_until
from tests.tiny_artefact import expected_planes, textured_frame, write_tiny_artefact

SIZE = Size(width=32, height=24)


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return write_tiny_artefact(tmp_path_factory.mktemp("models") / "tiny-x2")


def _torch(artefact: Artefact, size: Size = SIZE) -> TorchBackend:
    backend = open_backend(TorchConfig(threads=1), artefact, size)
    assert isinstance(backend, TorchBackend)
    assert isinstance(backend, BatchedBackend)
    return backend


@pytest.mark.parametrize("name", ["live-xs-x2", "live-xs-x4"])
@pytest.mark.parametrize("fused", [False, True])
def test_a_batch_of_a_shipped_model_is_what_its_frames_are_one_by_one(
    name: str, fused: bool
) -> None:
    artefact = find_artefact(name)
    frames = artefact.reference().frames
    backend = open_backend(TorchConfig(threads=1, fused=fused), artefact, frames[0].size)
    assert isinstance(backend, TorchBackend)
    singly = [backend.extract(frame) for frame in frames]
    together = backend.extract_many(frames)
    windows: list[Sequence[Features]] = [singly, singly[::-1]]
    found = backend.fuse_many([together, together[::-1]])
    for planes, window in zip(found, windows, strict=True):
        for plane, expected in zip(planes, backend.fuse(window), strict=True):
            assert np.abs(plane.astype(int) - expected).max() <= 1
    backend.close()


class _Slow(TorchBackend):
    """Notes how many frames it was given at once, and waits before the first."""

    sizes: list[int]
    may_go: threading.Event

    def fuse(self, window: Sequence[Features]) -> Planes:
        assert self.may_go.wait(60)
        self.sizes.append(1)
        return super().fuse(window)

    def fuse_many(self, windows: Sequence[Sequence[Features]]) -> list[Planes]:
        self.sizes.append(len(windows))
        return super().fuse_many(windows)


def test_those_who_wait_are_served_together_and_each_gets_its_own(artefact: Artefact) -> None:
    engine = _Slow(TorchConfig(threads=1), artefact, SIZE)
    engine.sizes, engine.may_go = [], threading.Event()
    first = BatchedStream(Batcher(engine))
    streams = [first, *(first.sibling() for _ in range(BATCH_FRAMES + 1))]
    frames = [textured_frame(seed, width=32, height=24) for seed in range(len(streams))]
    features = [stream.extract(frame) for stream, frame in zip(streams, frames, strict=True)]
    with ThreadPoolExecutor(len(streams)) as pool:
        futures = [
            pool.submit(stream.fuse, [each] * 3)
            for stream, each in zip(streams, features, strict=True)
        ]
        try:  # one is on its way, the others wait for it
            wait_until(lambda: len(first._batcher._fuses.waiting) == len(streams) - 1, timeout_s=30)
        finally:
            engine.may_go.set()
        for frame, future in zip(frames, futures, strict=True):
            found = future.result(60)
            for plane, expected in zip(found, expected_planes([frame] * 3), strict=True):
                assert np.array_equal(plane, expected)
    assert engine.sizes == [1, BATCH_FRAMES, 1]
    for stream in streams:
        stream.close()
    assert not first._batcher._thread.is_alive()
    with pytest.raises(InferenceFailed, match="is closed"):
        first.extract(frames[0])


def test_what_fails_is_told_to_who_asked_and_the_others_go_on(artefact: Artefact) -> None:
    stream = BatchedStream(Batcher(_torch(artefact)))
    with pytest.raises(InferenceFailed, match="32x24"):
        stream.extract(textured_frame(0, width=16, height=8))
    frame = textured_frame(1, width=32, height=24)
    found = stream.fuse([stream.extract(frame)] * 3)
    assert np.array_equal(found[0], expected_planes([frame] * 3)[0])
    stream.close()


def test_batches_are_made_only_where_they_are_faster(
    artefact: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_cpu = _torch(artefact)
    assert batched_if_faster(on_cpu, SIZE, window=3) is on_cpu  # streams take turns there
    on_gpu = _torch(artefact)
    on_gpu.runs_on_cpu = False
    gains = iter((1.0, 1.0, 0.5, 1.0))
    monkeypatch.setattr("decoder.backends.batching._fastest_s", lambda run: next(gains))
    assert batched_if_faster(on_gpu, SIZE, window=3) is on_gpu
    batched = batched_if_faster(on_gpu, SIZE, window=3)
    assert isinstance(batched, BatchedStream)
    assert batched.name.endswith("batched")
    batched.close()
    other = open_backend(OnnxRuntimeConfig(threads=1), artefact, SIZE)
    monkeypatch.setattr(other, "runs_on_cpu", False)
    assert batched_if_faster(other, SIZE, window=3) is other  # its library cannot
    other.close()
    on_cpu.close()


def test_a_library_that_fails_on_batches_restores_frame_by_frame(
    artefact: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: TorchBackend, frames: Sequence[Frame]) -> list[Features]:
        raise InferenceFailed("no such kernel")

    backend = _torch(artefact)
    assert is_worthwhile(backend, SIZE, window=3) in (True, False)
    monkeypatch.setattr(TorchBackend, "extract_many", refuse)
    assert not is_worthwhile(backend, SIZE, window=3)
    backend.close()


def test_streams_of_a_receiver_share_a_batcher(
    artefact: Artefact, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def as_on_a_gpu(config: object, artefact: Artefact, size: Size) -> Backend:
        backend = _torch(artefact, size)
        backend.runs_on_cpu = False
        return backend

    monkeypatch.setattr(engine_pool_module, "open_backend", as_on_a_gpu)
    monkeypatch.setattr("decoder.backends.batching.is_worthwhile", lambda *_, **__: True)
    pool = engine_pool_module.EnginePool()
    one, other = (pool.open(TorchConfig(), artefact, SIZE) for _ in range(2))
    assert isinstance(one, BatchedStream)
    assert isinstance(other, BatchedStream)
    assert one._batcher is other._batcher
    pool.close()
    frame = textured_frame(3, width=32, height=24)
    one.close()
    found = other.fuse([other.extract(frame)] * 3)
    assert np.array_equal(found[0], expected_planes([frame] * 3)[0])
    other.close()
