import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from decoder.edvr.live import LiveEdvr
from decoder.edvr.live_config import LiveConfig
from decoder.edvr.upsampling import cubic_tap, lanczos_tap
from stream.errors import ConfigError
from stream.frame import Size
from tests.resampling import resampled
from tests.training_media import TINY, random_window, tiny_network

pytestmark = pytest.mark.usefixtures("one_torch_thread")

Planes = tuple[Tensor, Tensor, Tensor]

LEVELS = [1, 2]

WINDOWS = [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2), (5, 2)]


def _size(config: LiveConfig) -> Size:
    """A small LR size in the network's multiples, not square."""
    return Size(width=3 * config.multiple_of, height=2 * config.multiple_of)


def _run(network: LiveEdvr, window: tuple[Tensor, ...]) -> Planes:
    with torch.no_grad():
        y, u, v = network(*window)
    return y, u, v


def _differ(one: Planes, other: Planes) -> bool:
    return not torch.equal(one[0], other[0])


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_an_untrained_network_is_the_classical_upscaler_of_the_reference(scale: int) -> None:
    config = replace(TINY, scale=scale, lookahead=0)
    window = random_window(config, _size(config))

    restored = _run(LiveEdvr(config).eval(), window)

    luma = window[0][0, config.reference].double().numpy()
    expected = resampled(luma, scale, lambda distance: lanczos_tap(distance, 3), 3)
    np.testing.assert_allclose(restored[0][0, 0].numpy(), expected, atol=1e-5)
    for plane, lr in zip(restored[1:], window[1:3], strict=True):
        chroma = resampled(lr[0, config.reference].double().numpy(), scale, cubic_tap, 2)
        np.testing.assert_allclose(plane[0, 0].numpy(), chroma, atol=1e-5)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_planes_come_out_scale_times_larger(scale: int) -> None:
    config = replace(TINY, scale=scale)
    size = _size(config)

    y, u, v = _run(tiny_network(config), random_window(config, size))

    height, width = size.height * scale, size.width * scale
    assert y.shape == (1, 1, height, width)
    assert u.shape == v.shape == (1, 1, height // 2, width // 2)


@pytest.mark.parametrize(("window", "lookahead"), WINDOWS)
def test_the_streaming_pair_equals_the_plain_network_bit_for_bit(
    window: int, lookahead: int
) -> None:
    config = replace(TINY, window=window, lookahead=lookahead, extract_blocks=1)
    network = tiny_network(config)
    long = replace(config, window=window + 2, lookahead=0)
    y, u, v, quantiser = random_window(long, _size(config))

    with torch.no_grad():
        features = [
            network.extract(y[:, n : n + 1], u[:, n : n + 1], v[:, n : n + 1], quantiser[:, n])
            for n in range(long.window)
        ]
        streamed = [network.fuse(features[start : start + window]) for start in range(3)]

    for start, restored in enumerate(streamed):
        part = slice(start, start + window)
        plain = _run(network, (y[:, part], u[:, part], v[:, part], quantiser[:, part]))
        assert all(torch.equal(a, b) for a, b in zip(restored, plain, strict=True))
    assert all(_differ(a, b) for a, b in itertools.pairwise(streamed))


@pytest.mark.parametrize(("window", "lookahead"), WINDOWS)
def test_the_picture_restored_is_that_of_the_reference(window: int, lookahead: int) -> None:
    config = replace(TINY, window=window, lookahead=lookahead)
    planes = random_window(config, _size(config))
    network = LiveEdvr(config).eval()

    restored = _run(network, planes)

    still = [plane[:, config.reference : config.reference + 1] for plane in planes]
    alone = _run(network, tuple(plane.expand(-1, window, *plane.shape[2:]) for plane in still))
    assert all(torch.equal(a, b) for a, b in zip(restored, alone, strict=True))
    assert config.reference == window - 1 - lookahead


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("position", range(3))
def test_every_frame_of_the_window_counts_and_so_does_its_chroma(position: int, level: int) -> None:
    config = replace(TINY, align_level=level)
    planes = random_window(config, _size(config))
    network = tiny_network(config)
    plain = _run(network, planes)

    for plane in range(3):
        changed = [tensor.clone() for tensor in planes]
        changed[plane][:, position] += 0.1
        assert _differ(_run(network, tuple(changed)), plain), plane


@pytest.mark.parametrize("position", range(3))
def test_the_quantiser_of_every_frame_counts_and_unknown_is_no_quantiser(position: int) -> None:
    y, u, v, quantiser = random_window(TINY, _size(TINY))
    network = tiny_network()

    def restored_with(value: float) -> Planes:
        told = quantiser.clone()
        told[:, position] = value
        return _run(network, (y, u, v, told))

    finest, coarsest, unknown = (restored_with(value) for value in (0.0, 1.0, -1.0))
    assert _differ(finest, coarsest)
    assert _differ(finest, unknown)
    assert _differ(coarsest, unknown)


@pytest.mark.parametrize("level", LEVELS)
def test_frames_are_aligned_by_the_offsets_that_the_network_predicts(level: int) -> None:
    config = replace(TINY, align_level=level)
    network = tiny_network(config)
    planes = random_window(config, _size(config))
    moved = _run(network, planes)

    with torch.no_grad():
        for pack in (network.fuse.align.dcn_l1, network.fuse.align.dcn_l2):
            offsets = len(pack.conv_offset.weight) * 2 // 3
            pack.conv_offset.weight[:offsets] = 0
            assert pack.conv_offset.bias is not None
            pack.conv_offset.bias[:offsets] = 0

    assert _differ(moved, _run(network, planes))


@pytest.mark.parametrize("level", LEVELS)
def test_a_new_network_restores_the_reference_alone(level: int) -> None:
    """What was trained without neighbours is where training with them begins."""
    config = replace(TINY, align_level=level, reconstruct_blocks=1)
    network = LiveEdvr(config).eval()
    torch.nn.init.normal_(network.fuse.conv_last.weight, std=0.1)
    planes = random_window(config, _size(config))

    with torch.no_grad():
        alone = network.alone(*planes)

    for whole, part in zip(_run(network, planes), alone, strict=True):
        torch.testing.assert_close(whole, part)


@pytest.mark.parametrize("level", LEVELS)
def test_every_parameter_learns_once_training_has_begun(level: int) -> None:
    config = replace(TINY, align_level=level)
    network = tiny_network(config).train()
    planes = random_window(config, _size(config))

    y, u, v = network(*planes)
    (y.square().mean() + u.square().mean() + v.square().mean()).backward()

    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scale": 5}, "scale must be 1, 2, 3 or 4"),
        ({"scale": 2, "lookahead": 3}, "lookahead 3 does not fit window 3"),
        ({"scale": 2, "lookahead": -1}, "lookahead -1"),
        ({"scale": 2, "align_level": 3}, "align_level must be 1 or 2, got 3"),
        ({"scale": 2, "near_channels": 10}, "8 groups do not divide 10"),
    ],
)
def test_an_impossible_network_is_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LiveConfig(**values)
