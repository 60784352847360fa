"""The shipped models through the whole Restorer, on every backend."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import av
import numpy as np
import pytest

from decoder.artefact import Artefact, find_artefact, list_artefacts
from decoder.artefact_reference import Planes
from decoder.backends import (
    BackendConfig,
    BackendName,
    OnnxRuntimeConfig,
    OpenVinoConfig,
    backend_config,
    open_backend,
)
from decoder.backends.self_check import HALF_MAX_LEVELS, HALF_MIN_PSNR_DB, deviation
from decoder.config import RestorerConfig
from decoder.lanczos import LanczosScaler
from decoder.restorer import Restorer
from stream.frame import CLOCK_HZ, Frame, Plane, Size
from stream.picture_normaliser import PictureNormaliser

LR = Size(width=96, height=64)
BACKENDS: tuple[BackendName, ...] = ("onnxruntime", "openvino")
SHIPPED = [artefact.manifest.name for artefact in list_artefacts()]


@pytest.fixture(scope="module", params=SHIPPED or ["none"])
def artefact(request: pytest.FixtureRequest) -> Artefact:
    if not SHIPPED:
        reason = "decoder/models holds no model"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return find_artefact(str(request.param))


def _plane(size: Size, *, shift: float, seed: int) -> Plane:
    """Edges, waves and fine texture that move by `shift` samples; the same for every size."""
    rows, columns = np.mgrid[0 : size.height, 0 : size.width].astype(np.float64)
    columns += shift
    wave = 35 * np.sin(columns / 7 + seed) * np.cos(rows / 9)
    bars = 30 * ((columns + 2 * rows) % 28 < 11)
    grain = 8 * np.sin(columns * 2.1 + rows * 1.3)
    plane: Plane = np.clip(105 + wave + bars + grain, 16, 235).astype(np.uint8)
    return plane


def _clip(count: int, size: Size = LR) -> list[Frame]:
    half = Size(width=size.width // 2, height=size.height // 2)
    return [
        Frame(
            y=_plane(size, shift=1.5 * number, seed=0),
            u=_plane(half, shift=0.75 * number, seed=1),
            v=_plane(half, shift=0.75 * number, seed=2),
            pts=number * CLOCK_HZ // 25,
            quantiser=32.0,
        )
        for number in range(count)
    ]


def _times(size: Size, scale: int) -> Size:
    return Size(width=size.width * scale, height=size.height * scale)


def _restorer(artefact: Artefact, backend: BackendName, size: Size) -> Restorer:
    config = RestorerConfig(size=size, model=str(artefact.folder), backend=backend, threads=1)
    return Restorer(config)


def _run(restorer: Restorer, frames: Sequence[Frame]) -> list[Frame]:
    done = [restored for frame in frames for restored in restorer.push(frame)]
    done += restorer.flush()
    restorer.close()
    return done


def _planes(frame: Frame) -> Planes:
    return frame.y, frame.u, frame.v


def _fused(artefact: Artefact, config: BackendConfig, window: Sequence[Frame]) -> Planes:
    backend = open_backend(config, artefact, window[0].size)
    planes = backend.fuse([backend.extract(frame) for frame in window])
    backend.close()
    return planes


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_frame_comes_out_once_in_the_size_asked_for_by_the_network(
    artefact: Artefact, backend: BackendName
) -> None:
    size = _times(LR, artefact.manifest.scale)
    restorer = _restorer(artefact, backend, size)
    frames = _clip(5)
    done = _run(restorer, frames)
    assert [frame.pts for frame in done] == [frame.pts for frame in frames]
    assert {frame.size for frame in done} == {size}
    assert (restorer.counts.restored, restorer.counts.failed) == (5, 0)


def test_the_backends_agree(artefact: Artefact) -> None:
    window = _clip(artefact.manifest.window)
    expected = _fused(artefact, OnnxRuntimeConfig(threads=1), window)
    exact = deviation(expected, _fused(artefact, OpenVinoConfig(threads=1, half=False), window))
    assert exact.max_levels <= artefact.manifest.tolerance_levels
    half = deviation(expected, _fused(artefact, OpenVinoConfig(threads=1), window))
    assert half.max_levels <= HALF_MAX_LEVELS
    assert half.psnr_db >= HALF_MIN_PSNR_DB


def test_the_picture_is_that_of_lanczos_but_for_details(artefact: Artefact) -> None:
    size = _times(LR, artefact.manifest.scale)
    frames = _clip(3)
    done = _run(_restorer(artefact, "openvino", size), frames)
    scaler = LanczosScaler(size)
    for restored, frame in zip(done, frames, strict=True):
        off = deviation(_planes(scaler.scale(frame)), _planes(restored))
        assert off.psnr_db >= 24


def test_a_network_does_without_the_quantiser_too(artefact: Artefact) -> None:
    window = _clip(artefact.manifest.window)
    told = _fused(artefact, OpenVinoConfig(threads=1), window)
    blind = [replace(frame, quantiser=None) for frame in window]
    untold = _fused(artefact, OpenVinoConfig(threads=1), blind)
    assert 24 <= deviation(told, untold).psnr_db < float("inf")


def test_a_picture_of_odd_size_is_restored_up_to_its_last_even_row_and_column(
    artefact: Artefact,
) -> None:
    normaliser = PictureNormaliser()
    frames = []
    for number, frame in enumerate(_clip(2, Size(width=642, height=358))):
        grey = np.ascontiguousarray(frame.y[:357, :641])
        picture = av.VideoFrame.from_ndarray(grey, format="gray8").reformat(format="yuv444p")
        frames += normaliser.push(picture, pts=number * CLOCK_HZ // 25)
    frames += normaliser.flush()
    assert {frame.size for frame in frames} == {Size(width=640, height=356)}
    box = Size(width=1280, height=720)
    restorer = _restorer(artefact, "openvino", box)
    done = _run(restorer, frames)
    assert [frame.size for frame in done] == [Size(width=1280, height=712)] * 2
    assert (restorer.counts.restored, restorer.counts.failed) == (2, 0)
    wanted = LanczosScaler(done[0].size).scale(frames[0])
    edge = slice(-16, None)  # where padding was cut away
    for rows, columns in ((edge, slice(None)), (slice(None), edge)):
        off = done[0].y[rows, columns].astype(int) - wanted.y[rows, columns]
        assert np.sqrt(np.mean(off**2)) <= 16


@pytest.mark.parametrize("backend", BACKENDS)
def test_where_a_stream_starts_and_ends_the_nearest_frame_stands_in(
    artefact: Artefact, backend: BackendName
) -> None:
    manifest = artefact.manifest
    frames = _clip(4)
    done = _run(_restorer(artefact, backend, _times(LR, manifest.scale)), frames)
    config = backend_config(backend, threads=1)
    reference = manifest.window - 1 - manifest.lookahead
    for number in (0, 3):
        wished = range(number - reference, number - reference + manifest.window)
        window = [frames[min(max(index, 0), 3)] for index in wished]
        assert all(map(np.array_equal, _planes(done[number]), _fused(artefact, config, window)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_stream_of_one_frame_is_restored_from_it_alone(
    artefact: Artefact, backend: BackendName
) -> None:
    (frame,) = _clip(1)
    restorer = _restorer(artefact, backend, _times(LR, artefact.manifest.scale))
    (done,) = _run(restorer, [frame])
    assert done.pts == frame.pts
    assert restorer.counts.restored == 1
    config = backend_config(backend, threads=1)
    alone = _fused(artefact, config, [frame] * artefact.manifest.window)
    assert all(map(np.array_equal, _planes(done), alone))
