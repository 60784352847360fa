from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from decoder.artefact import Artefact
from decoder.artefact_reference import Planes
from decoder.backends import Backend, OnnxRuntimeConfig, OpenVinoConfig, open_backend
from decoder.backends import engine_pool as engine_pool_module
from decoder.backends.contract import BackendConfig, Features
from decoder.backends.engine_pool import EnginePool, Turns
from decoder.backends.onnxruntime_cpu import OnnxRuntimeBackend
from decoder.config import RestorerConfig
from decoder.restorer import Restorer
from stream.frame import CLOCK_HZ, Frame, Size
from tests.pipeline_rig import wait_until
from tests.tiny_artefact import expected_planes, textured_frame, write_tiny_artefact

SIZE = Size(width=32, height=24)
CPU_BACKENDS: list[BackendConfig] = [
    OnnxRuntimeConfig(threads=1),
    OpenVinoConfig(threads=1, half=False),
]


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return write_tiny_artefact(tmp_path_factory.mktemp("models") / "tiny-x2")


@pytest.mark.parametrize("config", CPU_BACKENDS, ids=str)
def test_streams_share_what_was_compiled_once_and_do_not_mix(
    artefact: Artefact, config: BackendConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def counted(config: BackendConfig, artefact: Artefact, lr_size: Size) -> Backend:
        opened.append(lr_size)
        return open_backend(config, artefact, lr_size)

    monkeypatch.setattr(engine_pool_module, "open_backend", counted)
    pool = EnginePool()
    streams = [pool.open(config, artefact, SIZE) for _ in range(3)]
    assert len(opened) == 1
    windows = [
        [textured_frame(10 * i + k, width=32, height=24) for k in range(3)] for i in range(3)
    ]
    features = [
        [stream.extract(frame) for frame in window]
        for stream, window in zip(streams, windows, strict=True)
    ]
    for stream, window, extracted in zip(streams, windows, features, strict=True):
        for plane, wanted in zip(stream.fuse(extracted), expected_planes(window), strict=True):
            assert np.array_equal(plane, wanted)
    streams[0].close()
    pool.close()
    assert streams[1].fuse(features[1])[0].shape == (48, 64)  # others go on


def test_a_stream_gets_an_engine_that_has_run_at_its_size_before(
    artefact: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    heights = []
    fuse = OnnxRuntimeBackend.fuse

    def watched(self: OnnxRuntimeBackend, window: Sequence[Features]) -> Planes:
        planes = fuse(self, window)
        heights.append(planes[0].shape[0])
        return planes

    pool = EnginePool()
    pool.open(CPU_BACKENDS[0], artefact, SIZE).close()
    monkeypatch.setattr(OnnxRuntimeBackend, "fuse", watched)
    second_stream = pool.open(CPU_BACKENDS[0], artefact, SIZE)
    assert heights.count(2 * SIZE.height) == len(heights) >= 1
    second_stream.close()
    pool.close()


def test_an_engine_that_fails_to_warm_up_is_left_to_the_stream(tmp_path: Path) -> None:
    failing = write_tiny_artefact(tmp_path / "failing-x2", fails_above_mean=125.0)
    pool = EnginePool()
    engine = pool.open(CPU_BACKENDS[0], failing, SIZE)  # noise is brighter than that
    planes = engine.fuse([engine.extract(textured_frame(0, width=32, height=24))] * 3)
    assert planes[0].shape == (48, 64)
    engine.close()
    pool.close()


def test_restorers_of_one_pool_restore_side_by_side_on_their_own_threads(
    artefact: Artefact,
) -> None:
    pool = EnginePool()
    config = RestorerConfig(
        size=Size(width=64, height=48), model=str(artefact.folder), backend="openvino", threads=1
    )
    results: dict[int, list[Frame]] = {}

    def restore(stream: int) -> None:
        restorer = Restorer(config, engines=pool)
        frames = [
            textured_frame(100 * stream + n, width=32, height=24, pts=n * CLOCK_HZ // 25)
            for n in range(30)
        ]
        done = [out for frame in frames for out in restorer.push(frame)] + restorer.flush()
        restorer.close()
        results[stream] = done

    threads = [threading.Thread(target=restore, args=(stream,)) for stream in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    pool.close()
    for stream in range(3):
        window = [textured_frame(100 * stream + n, width=32, height=24) for n in (9, 10, 11)]
        difference = results[stream][10].y.astype(int) - expected_planes(window)[0]
        assert np.abs(difference).max() <= 1  # bfloat16 where the CPU has it


def test_turns_are_given_in_the_order_they_were_asked_for() -> None:
    turns, order = Turns(), []
    asked = threading.Event()

    def take(name: int) -> None:
        with turns.turn():
            order.append(name)

    threads = [threading.Thread(target=take, args=(name,)) for name in range(5)]
    with turns.turn():
        for number, thread in enumerate(threads, start=1):
            thread.start()
            wait_until(lambda number=number: len(turns._waiting) == number)  # type: ignore[misc] # bound now
        asked.set()
    for thread in threads:
        thread.join(10)
    assert order == [0, 1, 2, 3, 4]


def test_nobody_waits_for_more_than_one_turn_of_each_other_stream() -> None:
    turns, counts = Turns(), [0, 0, 0]
    end_s = time.monotonic() + 0.3

    def stream(index: int, work_s: float) -> None:
        while time.monotonic() < end_s:
            with turns.turn():
                time.sleep(work_s)
            counts[index] += 1

    threads = [threading.Thread(target=stream, args=(i, 0.002)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert min(counts) > 0
    assert max(counts) <= 2 * min(counts) + 2


def test_a_turn_that_fails_is_over() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="broken"), turns.turn():
        raise ValueError("broken")
    with turns.turn():
        pass
