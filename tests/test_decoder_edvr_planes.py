from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from decoder.edvr.network import Edvr, EdvrConfig
from decoder.edvr.planes import EdvrPlanes, Planes, planes_to_rgb, rgb_to_planes
from stream.errors import ConfigError
from tests import edvr_numpy

_TINY = EdvrConfig(
    num_feat=4, num_frame=3, deformable_groups=2, num_extract_block=1, num_reconstruct_block=1
)
_HR_IN = replace(_TINY, with_predeblur=True, hr_in=True)
_UNKNOWN = torch.full((1,), -1.0)


def _planes(y: Tensor, u: Tensor, v: Tensor) -> Planes:
    """Samples 0..255 to the unit of planes."""
    return (y - 128) / 128, (u - 128) / 128, (v - 128) / 128


def _samples(planes: Planes) -> list[Tensor]:
    return [plane * 128 + 128 for plane in planes]


def _flat(y: float, u: float, v: float) -> Planes:
    return _planes(
        torch.full((1, 1, 4, 8), y), torch.full((1, 1, 2, 4), u), torch.full((1, 1, 2, 4), v)
    )


def _random_window(height: int, width: int, *, frames: int, seed: int) -> Planes:
    generator = torch.Generator().manual_seed(seed)

    def random(low: int, high: int, *size: int) -> Tensor:
        return torch.randint(low, high + 1, (1, frames, *size), generator=generator).float()

    half = height // 2, width // 2
    return _planes(random(16, 235, height, width), random(16, 240, *half), random(16, 240, *half))


# 8-bit limited-range codes of the BT.709 primaries, from Recommendation ITU-R BT.709-6 table 3.
@pytest.mark.parametrize(
    ("codes", "rgb"),
    [
        ((16, 128, 128), (0, 0, 0)),
        ((235, 128, 128), (1, 1, 1)),
        ((126, 128, 128), (0.502, 0.502, 0.502)),
        ((63, 102, 240), (1, 0, 0)),
        ((173, 42, 26), (0, 1, 0)),
        ((32, 240, 118), (0, 0, 1)),
    ],
)
def test_known_colours_convert_both_ways(
    codes: tuple[int, int, int], rgb: tuple[float, float, float]
) -> None:
    picture = planes_to_rgb(*_flat(*codes))
    back = _samples(rgb_to_planes(torch.tensor(rgb)[None, :, None, None].expand(1, 3, 4, 8)))

    assert picture.shape == (1, 3, 4, 8)
    for channel, value in zip(picture[0], rgb, strict=True):
        torch.testing.assert_close(channel, torch.full((4, 8), float(value)), atol=0.006, rtol=0)
    for plane, code in zip(back, codes, strict=True):
        assert set(plane.round().flatten().tolist()) == {code}


def test_planes_that_rgb_can_say_come_back_to_the_same_bytes() -> None:
    generator = np.random.default_rng(1)
    for _ in range(50):
        codes = [
            float(generator.integers(low, high)) for low, high in ((90, 160), *[(108, 148)] * 2)
        ]
        back = _samples(rgb_to_planes(planes_to_rgb(*_flat(codes[0], codes[1], codes[2]))))
        assert [set(plane.round().flatten().tolist()) for plane in back] == [
            {code} for code in codes
        ]


def test_chroma_is_enlarged_between_centres_and_shrunk_to_the_mean_of_four() -> None:
    u = torch.tensor([[100.0, 140.0]])[None, None]
    grey = torch.full((1, 1, 1, 2), 128.0)
    blue = planes_to_rgb(*_planes(torch.full((1, 1, 2, 4), 126.0), u, grey))[0, 2]

    cb = (blue - (126 - 16) / 219) / 1.8556 * 224 + 128
    expected = torch.tensor([100.0, 110.0, 130.0, 140.0]).expand(2, 4)
    torch.testing.assert_close(cb, expected, atol=0.01, rtol=0)

    back = _samples(
        rgb_to_planes(planes_to_rgb(*_planes(torch.full((1, 1, 2, 4), 126.0), u, grey)))
    )
    torch.testing.assert_close(back[1], torch.tensor([[[[105.0, 135.0]]]]), atol=0.01, rtol=0)


def test_whatever_the_network_says_stays_in_limited_range() -> None:
    wild = 5 * edvr_numpy.random_features(1, 3, 16, 16, seed=1)

    y, u, v = _samples(rgb_to_planes(wild))

    assert y.min() > 15.99
    assert y.max() < 235.01
    for chroma in (u, v):
        assert chroma.min() > 15.99
        assert chroma.max() < 240.01


@pytest.mark.parametrize("config", [_TINY, replace(_TINY, center_frame=2), _HR_IN])
def test_the_pair_on_planes_equals_the_plain_network_on_planes_bit_for_bit(
    config: EdvrConfig,
) -> None:
    network = Edvr(config).eval()
    edvr_numpy.randomise(network, seed=1)
    live = EdvrPlanes(network).eval()
    y, u, v = _random_window(16, 32, frames=3, seed=2)

    with torch.no_grad():
        features = [
            live.extract(y[:, n : n + 1], u[:, n : n + 1], v[:, n : n + 1], _UNKNOWN)
            for n in range(3)
        ]
        streamed = live.fuse(features)
        plain = live(y, u, v, _UNKNOWN.expand(1, 3))

    for ours, theirs in zip(streamed, plain, strict=True):
        assert torch.equal(ours, theirs)
    scale = config.scale
    assert [tuple(plane.shape) for plane in plain] == [
        (1, 1, 16 * scale, 32 * scale),
        (1, 1, 8 * scale, 16 * scale),
        (1, 1, 8 * scale, 16 * scale),
    ]


def test_a_network_that_adds_nothing_keeps_place_and_colour() -> None:
    network = Edvr(_TINY)
    with torch.no_grad():
        network.conv_last.weight.zero_()
        assert network.conv_last.bias is not None
        network.conv_last.bias.zero_()
    live = EdvrPlanes(network)
    ramp = torch.linspace(60, 180, 8).expand(1, 3, 8, 8)
    u, v = torch.full((1, 3, 4, 4), 120.0), torch.full((1, 3, 4, 4), 140.0)

    with torch.no_grad():
        out = _samples(live(*_planes(ramp, u, v), _UNKNOWN.expand(1, 3)))

    expected = edvr_numpy.enlarge(ramp[0, :1].double().numpy(), 4)
    np.testing.assert_allclose(out[0][0].numpy(), expected, atol=0.01)
    torch.testing.assert_close(out[1], torch.full((1, 1, 16, 16), 120.0), atol=0.01, rtol=0)
    torch.testing.assert_close(out[2], torch.full((1, 1, 16, 16), 140.0), atol=0.01, rtol=0)


def test_a_network_that_is_not_for_rgb_is_refused() -> None:
    with pytest.raises(ConfigError, match="this one has 1 channels"):
        EdvrPlanes(Edvr(replace(_TINY, num_in_ch=1)))
