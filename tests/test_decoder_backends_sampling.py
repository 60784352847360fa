"""How exactly backends sample at the sides of a wide picture, where positions need most bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from decoder.artefact import Artefact, Manifest
from decoder.backends import BackendConfig, OnnxRuntimeConfig, OpenVinoConfig, open_backend
from decoder.edvr.deform_conv import deform_conv2d
from decoder.training.publish import write_network
from stream.frame import Frame, Size

SIZE = Size(width=640, height=8)
HALF_A_COLUMN = (0.0, 0.5)


class _Planes(nn.Module):
    """Features of a frame: its planes."""

    def forward(self, y: Tensor, u: Tensor, v: Tensor, quantiser: Tensor) -> tuple[Tensor, ...]:
        return y + 0 * quantiser, u, v


class _HalfwayFuse(nn.Module):
    """Samples the reference halfway between columns, by predicted offsets as EDVR does."""

    def forward(
        self, features: Sequence[Sequence[Tensor]], finish: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, ...]:
        y, u, v = features[1]
        offset = F.conv2d(y, torch.zeros(2, 1, 1, 1), torch.tensor(HALF_A_COLUMN))
        gate = torch.sigmoid(F.conv2d(y, torch.zeros(1, 1, 1, 1)))  # one half
        moved = deform_conv2d(y, offset, gate, torch.full((1, 1, 1, 1), 2.0), None, padding=0)
        return tuple(
            finish(F.interpolate(plane, scale_factor=2.0, mode="nearest"))
            for plane in (moved, u, v)
        )


class _Halfway:
    extract = _Planes()
    fuse = _HalfwayFuse()


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    manifest = Manifest(
        name="halfway-x2",
        version="1",
        tier="halfway",
        scale=2,
        window=3,
        lookahead=1,
        multiple_of=8,
        inputs=("y", "u", "v", "quantiser"),
        features=3,
        colour="limited-range 4:2:0",
        codecs=("h264",),
        trained_on="nothing",
        licence="Apache-2.0",
        sha256={},
    )
    folder: Path = tmp_path_factory.mktemp("models") / manifest.name
    return write_network(_Halfway(), manifest, folder)


@pytest.mark.parametrize(
    "config",
    [
        OnnxRuntimeConfig(threads=1),
        OpenVinoConfig(threads=1, half=False),
        OpenVinoConfig(threads=1),
    ],
    ids=str,
)
def test_between_two_columns_lies_their_mean_wherever_in_the_picture(
    artefact: Artefact, config: BackendConfig
) -> None:
    chroma = np.full((SIZE.height // 2, SIZE.width // 2), 128, np.uint8)
    striped = np.tile(np.array([100, 140], np.uint8), (SIZE.height, SIZE.width // 2))
    frame = Frame(y=striped, u=chroma, v=chroma, pts=0)
    backend = open_backend(config, artefact, SIZE)
    y, _, _ = backend.fuse([backend.extract(frame)] * 3)
    inside = y[:, :-2].astype(int)  # the last column has nothing but zero to its right
    assert np.abs(inside - 120).max() <= 1
    backend.close()
