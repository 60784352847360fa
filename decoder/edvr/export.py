"""Exports a network as two ONNX graphs, `extract` and `fuse`, on uint8 planes.

The graphs take and give planes as the live path holds them (see `decoder.artefact`), so engines
need no pre- or postprocessing of their own. `fuse` comes in two forms of deformable convolution.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim

from decoder.edvr.clean_graph import remove_origins
from decoder.edvr.deform_conv import ONNX_OPSET, DeformForm, export_form

FORMS: tuple[DeformForm, ...] = ("grid_sample", "deform_conv")


class StreamingNetwork(Protocol):
    """What can be exported: a network in two halves on planes scaled to (sample - 128) / 128."""

    @property
    def extract(self) -> nn.Module:
        """Planes (B, 1, H, W) and quantiser (B,) -> features."""

    @property
    def fuse(self) -> nn.Module:
        """Features of each frame of the window, and an elementwise `finish` -> HR planes."""


class PlanesExtract(nn.Module):
    """`extract` on uint8 planes (H, W) and a quantiser (1,)."""

    def __init__(self, extract: nn.Module) -> None:
        super().__init__()
        self.extract = extract

    def forward(self, y: Tensor, u: Tensor, v: Tensor, quantiser: Tensor) -> tuple[Tensor, ...]:
        """Features of one frame."""
        scaled = [(plane[None, None].float() - 128) / 128 for plane in (y, u, v)]
        return tuple(self.extract(*scaled, quantiser))


class PlanesFuse(nn.Module):
    """`fuse` on a flat list of features, giving uint8 planes (sH, sW)."""

    def __init__(self, fuse: nn.Module, window: int) -> None:
        super().__init__()
        self.fuse, self.window = fuse, window

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        """Features, window position by position, oldest first -> HR planes."""
        per_frame = len(features) // self.window
        frames = [features[i * per_frame : (i + 1) * per_frame] for i in range(self.window)]
        return tuple(plane[0, 0] for plane in self.fuse(frames, to_levels))


def to_levels(samples: Tensor) -> Tensor:
    """(sample - 128) / 128 as float -> sample as uint8."""
    return (samples * 128 + 128).round().clamp(0, 255).to(torch.uint8)


def export_graphs(network: StreamingNetwork, folder: Path, *, window: int, multiple_of: int) -> int:
    """Write extract.onnx and fuse.onnx in each form; returns the number of features a frame.

    Height and width stay dynamic, in multiples of `multiple_of`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cells = 8
    height, width = multiple_of * cells, multiple_of * (cells + 1)
    planes = (
        torch.zeros(height, width, dtype=torch.uint8),
        torch.zeros(height // 2, width // 2, dtype=torch.uint8),
        torch.zeros(height // 2, width // 2, dtype=torch.uint8),
        torch.zeros(1),
    )
    extract = PlanesExtract(network.extract).eval()
    with torch.no_grad():
        features = extract(*planes)
    names = [f"f{index}" for index in range(len(features))]
    rows, columns = Dim("rows", min=1, max=4096), Dim("columns", min=1, max=4096)
    m = multiple_of
    luma, chroma = {0: m * rows, 1: m * columns}, {0: m // 2 * rows, 1: m // 2 * columns}
    _export(
        extract,
        planes,
        folder / "extract.onnx",
        ["y", "u", "v", "quantiser"],
        names,
        (luma, chroma, chroma, None),
    )
    fuse = PlanesFuse(network.fuse, window).eval()
    window_features = tuple(feature.clone() for _ in range(window) for feature in features)
    window_names = [f"w{i}_{name}" for i in range(window) for name in names]
    # A feature's height is a * rows + b, told apart by its size at the traced `cells` rows.
    spatial = [
        {
            2: _as_dim(rows, feature.shape[2], cells),
            3: _as_dim(columns, feature.shape[3], cells + 1),
        }
        for _ in range(window)
        for feature in features
    ]
    for form in FORMS:
        with export_form(form):
            _export(
                fuse,
                window_features,
                folder / f"fuse.{form}.onnx",
                window_names,
                ["y", "u", "v"],
                (tuple(spatial),),
            )
    return len(features)


def _as_dim(dim: Dim, length: int, cells: int) -> Dim:
    return length // cells * dim + length % cells if length % cells else length // cells * dim


def _export(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    path: Path,
    input_names: Sequence[str],
    output_names: Sequence[str],
    dynamic_shapes: tuple[object, ...],
) -> None:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside the exporter
        program = torch.onnx.export(
            module,
            inputs,
            input_names=list(input_names),
            output_names=list(output_names),
            opset_version=ONNX_OPSET,
            dynamo=True,
            dynamic_shapes=dynamic_shapes,
            verbose=False,
        )
    assert program is not None
    program.optimize()
    program.save(str(path))
    remove_origins(path)
    onnx.checker.check_model(str(path))
