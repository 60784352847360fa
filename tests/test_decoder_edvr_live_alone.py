"""A network that restores each frame alone is the live network of the same weights without more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from decoder.artefact import Artefact, find_artefact, load_artefact
from decoder.artefact_reference import Planes
from decoder.backends import BackendName, backend_config, open_backend
from decoder.edvr.live import LiveEdvr
from decoder.edvr.live_alone import LiveAlone
from decoder.edvr.live_config import LiveConfig
from decoder.training.artefact_network import live_network
from decoder.training.cli import app
from decoder.training.publish_alone import publish_alone
from stream.command_line import run_command
from stream.errors import ConfigError
from stream.frame import Frame, Size
from tests.training_media import TINY, random_window, tiny_network

FINE = LiveConfig(
    scale=4, channels=8, near_channels=4, align_level=2, deformable_groups=2, reconstruct_blocks=1
)
CLEANING = LiveConfig(
    scale=1, channels=8, near_channels=4, deformable_groups=2, window=1, lookahead=0
)


@pytest.fixture(scope="module")
def alone(live_artefact: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """By the command, which proves it on every engine."""
    folder = tmp_path_factory.mktemp("alone") / "tiny"
    assert run_command(app, ["alone", str(live_artefact.folder), str(folder)]) == 0
    return load_artefact(folder)


def _by_torch(network: LiveEdvr, frame: Frame) -> Planes:
    """What `LiveEdvr.alone` makes of a frame, as bytes."""
    count, at = network.config.window, network.config.reference
    known = -1.0 if frame.quantiser is None else frame.quantiser / 51
    planes = [
        (torch.from_numpy(plane.copy()).float()[None, None] - 128) / 128
        for plane in (frame.y, frame.u, frame.v)
    ]
    windows = [torch.zeros_like(plane).repeat(1, count, 1, 1) for plane in planes]
    for window, plane in zip(windows, planes, strict=True):
        window[:, at] = plane[:, 0]
    with torch.no_grad():
        y, u, v = windows
        found = network.alone(y, u, v, torch.full((1, count), known))
    luma, *chroma = ((p[0, 0] * 128 + 128).round().clamp(0, 255).byte().numpy() for p in found)
    return luma, chroma[0], chroma[1]


def _by_engine(name: BackendName, artefact: Artefact, frame: Frame) -> Planes:
    backend = open_backend(backend_config(name, threads=1), artefact, frame.size)
    try:
        return backend.fuse([backend.extract(frame)])
    finally:
        backend.close()


def _most_levels(found: Planes, expected: Planes) -> int:
    pairs = zip(found, expected, strict=True)
    return max(int(np.abs(a.astype(int) - b).max()) for a, b in pairs)


@pytest.mark.parametrize("config", [TINY, FINE, CLEANING])
@pytest.mark.parametrize("quantiser", [0.6, -1.0])
def test_both_halves_give_what_the_whole_network_gives_without_neighbours(
    config: LiveConfig, quantiser: float
) -> None:
    network = tiny_network(config)
    at = slice(config.reference, config.reference + 1)
    y, u, v, known = random_window(config, Size(width=48, height=32))
    known = torch.full_like(known, quantiser)
    with torch.no_grad():
        expected = network.alone(y, u, v, known)
        found = LiveAlone(network)(y[:, at], u[:, at], v[:, at], known[:, config.reference])
    for plane, wanted in zip(found, expected, strict=True):
        assert plane.shape == wanted.shape
        torch.testing.assert_close(plane, wanted, rtol=0, atol=1e-5)


def test_where_neighbours_count_nothing_the_whole_network_gives_the_same() -> None:
    network = tiny_network()
    with torch.no_grad():
        network.fuse.fusion.weight[:, TINY.channels :] = 0
        window = random_window(TINY, Size(width=48, height=32))
        at = slice(TINY.reference, TINY.reference + 1)
        y, u, v, quantiser = (each[:, at] for each in window)
        for plane, wanted in zip(
            LiveAlone(network)(y, u, v, quantiser[:, 0]), network(*window), strict=True
        ):
            torch.testing.assert_close(plane, wanted, rtol=0, atol=1e-5)


def test_it_is_a_model_of_single_frames_one_tier_below(
    alone: Artefact, live_artefact: Artefact
) -> None:
    before, manifest = live_artefact.manifest, alone.manifest
    assert (manifest.window, manifest.lookahead, manifest.tier) == (1, 0, "live-xxs")
    assert (manifest.scale, manifest.multiple_of) == (before.scale, before.multiple_of)
    assert f"as {before.name}, version {before.version}" in manifest.trained_on


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime", "torch"])
@pytest.mark.parametrize(("width", "height"), [(96, 64), (16, 16)])
def test_engines_give_the_picture_of_torch_at_any_size(
    alone: Artefact, live_artefact: Artefact, backend: BackendName, width: int, height: int
) -> None:
    rng = np.random.default_rng(width)
    y, u, v = (
        rng.integers(16, 236, (height // step, width // step), np.uint8) for step in (1, 2, 2)
    )
    frame = Frame(y=y, u=u, v=v, pts=0, quantiser=31.0)
    expected = _by_torch(live_network(live_artefact), frame)
    assert _most_levels(_by_engine(backend, alone, frame), expected) <= 2


@pytest.mark.parametrize("scale", [2, 4])
def test_what_is_shipped_has_the_weights_of_the_tier_above(scale: int) -> None:
    above, shipped = find_artefact(f"live-xs-x{scale}"), find_artefact(f"live-xxs-x{scale}")
    (frame,) = shipped.reference().frames
    expected = _by_torch(live_network(above), frame)
    remedy = f"run: edvr-model alone live-xs-x{scale} decoder/models/live-xxs-x{scale}"
    assert _most_levels(shipped.reference().expected, expected) <= 1, remedy
    assert shipped.manifest.version == above.manifest.version, remedy


def test_what_is_alone_already_is_refused(alone: Artefact, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not of the live family"):
        publish_alone(alone, tmp_path / "out")
