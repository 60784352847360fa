import numpy as np
import pytest
import torch

from decoder.edvr.blocks import ResidualBlock, enlarge, residual_blocks
from tests import edvr_numpy


def test_a_residual_block_equals_its_definition() -> None:
    block = ResidualBlock(3)
    layers = edvr_numpy.randomise(block, seed=1)
    x = edvr_numpy.random_features(1, 3, 5, 6, seed=2)
    before = x.clone()

    with torch.no_grad():
        out = block(x)[0].numpy()

    np.testing.assert_allclose(
        out, edvr_numpy.residual(x[0].double().numpy(), layers, ""), atol=1e-5
    )
    assert torch.equal(x, before), "the input is written over"


def test_an_untrained_stack_stays_near_the_identity() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 16, 8, 8)

    with torch.no_grad():
        change = residual_blocks(10, 16)(x) - x

    assert 0 < change.std() < 0.1


def test_an_untrained_block_has_a_tenth_of_the_usual_weights_and_no_bias() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(64)

    for conv in (block.conv1, block.conv2):
        assert conv.weight.std().item() == pytest.approx(0.1 * (2 / (64 * 9)) ** 0.5, rel=0.05)
        assert conv.bias is not None
        assert not conv.bias.any()


@pytest.mark.parametrize("factor", [2, 4])
def test_enlarging_interpolates_between_sample_centres(factor: int) -> None:
    x = edvr_numpy.random_features(1, 2, 3, 5, seed=factor)

    expected = edvr_numpy.enlarge(x[0].double().numpy(), factor)

    np.testing.assert_allclose(enlarge(x, factor)[0].numpy(), expected, atol=1e-5)
