from pathlib import Path

import pytest
import torch
from torch import nn

from decoder.artefact import Artefact
from decoder.backends.graph_cost import count_cost
from decoder.edvr.live import LiveEdvr
from decoder.edvr.live_config import LiveConfig
from stream.errors import ModelMismatch
from stream.frame import Size
from tests.tiny_artefact import write_tiny_artefact
from tests.training_media import TINY


def _macs_of_plain_convolutions(config: LiveConfig, size: Size) -> tuple[int, int]:
    """Extract and fuse, counted where torch runs them; deformable and last layers left out."""
    macs = {"extract": 0, "fuse": 0}
    with torch.device("meta"):
        network = LiveEdvr(config).eval()

        def count(name: str, module: nn.Module, output: torch.Tensor) -> None:
            weight = module.weight
            assert isinstance(weight, torch.Tensor)
            positions = output.shape[0] * output.shape[-2] * output.shape[-1]
            macs[name.partition(".")[0]] += positions * weight.numel()

        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(
                    lambda module, _, output, name=name: count(name, module, output)
                )
        planes = [torch.empty(1, config.window, size.height // n, size.width // n) for n in (1, 2)]
        network(planes[0], planes[1], planes[1], torch.empty(1, config.window))
    return macs["extract"] // config.window, macs["fuse"]


def test_the_convolutions_of_a_real_network_are_counted(live_artefact: Artefact) -> None:
    size = Size(width=64, height=48)
    extract, fuse = _macs_of_plain_convolutions(TINY, size)
    cells, near, taps = 32 * 24, TINY.near_channels, 9
    # Beyond the plain ones: per neighbour the offsets (2 a tap and group) and gates (one a tap and
    # channel) of two levels with their deformable convolutions, and the last layer with the
    # classical upscaler beside it.
    level1 = near * 9 * (2 * TINY.deformable_groups + near) + near * near
    level2 = near * 9 * taps * (2 * TINY.deformable_groups + near) + near * near * taps
    packs = 2 * (cells * level1 + cells // 4 * level2)
    last = cells * TINY.hr_channels * TINY.channels * 9
    parts = zip(TINY.lr_parts, TINY.hr_parts, strict=True)
    classical = cells * sum(seen * made for seen, made in parts) * 25

    cost = count_cost(live_artefact, size)

    assert cost.extract_macs == extract
    assert cost.fuse_macs == fuse + packs + last + classical
    assert cost.frame_macs == cost.extract_macs + cost.fuse_macs


def test_the_features_have_the_shapes_that_the_graph_gives(live_artefact: Artefact) -> None:
    cost = count_cost(live_artefact, Size(width=64, height=48))

    near, cells = TINY.near_channels, (24, 32)
    assert cost.feature_shapes[0] == (1, TINY.lr_channels, 28, 36)
    assert cost.feature_shapes[1] == (1, TINY.channels, *cells)
    assert cost.feature_shapes[2:5] == ((1, near, *cells),) * 3
    assert cost.feature_shapes[5:] == ((1, near, 12, 16),) * 3
    samples = 6 * 28 * 36 + (8 + 3 * near) * 24 * 32 + 3 * near * 12 * 16
    assert cost.feature_bytes == 4 * samples


def test_a_larger_picture_costs_more_and_a_network_without_convolutions_nothing(
    live_artefact: Artefact, tmp_path: Path
) -> None:
    small, large = (
        count_cost(live_artefact, Size(width=32 * n, height=16 * n)).frame_macs for n in (1, 3)
    )
    assert large == 9 * small
    tiny = write_tiny_artefact(tmp_path / "tiny-x2")
    assert count_cost(tiny, Size(width=32, height=16)).frame_macs == 0


def test_graphs_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    artefact = write_tiny_artefact(tmp_path / "tiny-x2")
    artefact.extract_path.write_bytes(b"no graph")
    with pytest.raises(ModelMismatch, match="openvino cannot read"):
        count_cost(artefact, Size(width=32, height=16))
