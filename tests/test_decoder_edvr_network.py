from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from decoder.edvr.blocks import enlarge
from decoder.edvr.network import EDVR_L, EDVR_M, Edvr, EdvrConfig
from stream.errors import ConfigError, FrameError
from tests import edvr_numpy

_TINY = EdvrConfig(
    num_feat=4,
    num_frame=3,
    deformable_groups=2,
    num_extract_block=1,
    num_reconstruct_block=2,
)
_DEBLUR = replace(_TINY, with_predeblur=True)
_HR_IN = replace(_TINY, with_predeblur=True, hr_in=True)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On tiny tensors threads only wait for each other, for long on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (_TINY, (8, 12)),
        (replace(_TINY, with_tsa=False), (8, 12)),
        (replace(_TINY, center_frame=2), (4, 8)),
        (replace(_TINY, num_in_ch=1), (4, 4)),
        (_DEBLUR, (8, 8)),
        (_HR_IN, (32, 16)),
        (replace(_HR_IN, with_tsa=False), (16, 16)),
    ],
)
def test_the_network_equals_an_independent_one(config: EdvrConfig, size: tuple[int, int]) -> None:
    network = Edvr(config)
    layers = edvr_numpy.randomise(network, seed=1)
    window = edvr_numpy.random_features(1, config.num_frame, config.num_in_ch, *size, seed=2)

    with torch.no_grad():
        out = network(window)[0].numpy()

    assert out.shape == (config.num_in_ch, config.scale * size[0], config.scale * size[1])
    expected = edvr_numpy.restore(
        list(window[0].double().numpy()),
        layers,
        reference_index=config.reference_index,
        hr_in=config.hr_in,
        with_predeblur=config.with_predeblur,
        with_tsa=config.with_tsa,
    )
    np.testing.assert_allclose(out, expected, atol=5e-4, rtol=1e-4)


@pytest.mark.parametrize(("config", "millions"), [(EDVR_M, "3.30"), (EDVR_L, "20.63")])
def test_the_paper_sizes_have_the_published_number_of_parameters(
    config: EdvrConfig, millions: str
) -> None:
    with torch.device("meta"):
        network = Edvr(config)

    count = sum(parameter.numel() for parameter in network.parameters())

    assert f"{count / 1e6:.2f}" == millions


@pytest.mark.parametrize("config", [_TINY, replace(_TINY, with_tsa=False), _HR_IN])
def test_a_stream_that_extracts_each_frame_once_gives_the_plain_network_bit_for_bit(
    config: EdvrConfig,
) -> None:
    network = Edvr(config).eval()
    edvr_numpy.randomise(network, seed=1)
    frames = edvr_numpy.random_features(6, 1, 3, 16, 16, seed=2)
    ring: deque[int] = deque(maxlen=config.num_frame)
    cached = {}
    compared = 0

    with torch.no_grad():
        for index, frame in enumerate(frames):
            cached[index] = network.extract(frame)
            ring.append(index)
            if len(ring) < config.num_frame:
                continue
            reference = frames[ring[config.reference_index]]
            streamed = network.fuse([cached[at] for at in ring], reference)
            plain = network(frames[list(ring)].transpose(0, 1))
            assert torch.equal(streamed, plain)
            compared += 1

    assert compared == 4


@pytest.mark.parametrize("config", [_TINY, replace(_TINY, with_tsa=False), _HR_IN])
def test_every_parameter_receives_a_gradient(config: EdvrConfig) -> None:
    network = Edvr(config)
    edvr_numpy.randomise(network, seed=1)

    window = edvr_numpy.random_features(2, 3, 3, 16, 32, seed=2)
    (network(window) - window[:, 1].mean()).square().mean().backward()

    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_training_on_one_window_lowers_the_loss_and_moves_the_offsets() -> None:
    torch.manual_seed(0)
    network = Edvr(_TINY)
    window = torch.rand(1, 3, 3, 8, 8)
    target = enlarge(window[:, 1], 4) + 0.3
    optimiser = torch.optim.Adam(network.parameters(), lr=4e-3)
    losses = []

    for _ in range(12):
        optimiser.zero_grad()
        loss = (network(window) - target).abs().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())

    assert losses[-1] < 0.5 * losses[0]
    assert network.pcd_align.cas_dcnpack.conv_offset.weight.abs().max() > 0


@pytest.mark.parametrize(
    ("config", "shape", "message"),
    [
        (_TINY, (3, 3, 8, 8), "window must be"),
        (_TINY, (1, 5, 3, 8, 8), "window must be"),
        (_TINY, (1, 3, 1, 8, 8), "window must be"),
        (_TINY, (1, 3, 3, 8, 10), "multiples of 4, got 8x10"),
        (_TINY, (1, 3, 3, 9, 8), "multiples of 4, got 9x8"),
        (_HR_IN, (1, 3, 3, 24, 32), "multiples of 16, got 24x32"),
    ],
)
def test_a_window_that_does_not_fit_is_refused(
    config: EdvrConfig, shape: tuple[int, ...], message: str
) -> None:
    with torch.device("meta"):
        network = Edvr(config)
        with pytest.raises(FrameError, match=message):
            network(torch.empty(shape))


def test_a_config_says_what_the_receiver_needs_to_know() -> None:
    assert (EDVR_M.scale, EDVR_M.multiple_of) == (4, 4)
    assert (EDVR_M.reference_index, EDVR_M.lookahead) == (2, 2)
    assert (_HR_IN.scale, _HR_IN.multiple_of) == (1, 16)
    last = replace(EDVR_M, center_frame=4)
    assert (last.reference_index, last.lookahead) == (4, 0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: EdvrConfig(num_in_ch=0), "num_in_ch must be positive, got 0"),
        (lambda: EdvrConfig(num_feat=0), "num_feat must be positive"),
        (lambda: EdvrConfig(num_frame=0), "num_frame must be positive"),
        (lambda: EdvrConfig(deformable_groups=0), "deformable_groups must be positive"),
        (lambda: EdvrConfig(num_extract_block=-1), "num_extract_block must not be negative"),
        (
            lambda: EdvrConfig(num_reconstruct_block=-1),
            "num_reconstruct_block must not be negative",
        ),
        (lambda: EdvrConfig(num_feat=60), "60 cannot be split into 8"),
        (lambda: EdvrConfig(center_frame=5), "center_frame 5 is outside a window of 5"),
        (lambda: EdvrConfig(center_frame=-1), "center_frame -1 is outside"),
        (lambda: EdvrConfig(hr_in=True), "hr_in needs with_predeblur"),
    ],
)
def test_an_impossible_config_is_refused(build: Callable[[], EdvrConfig], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()
