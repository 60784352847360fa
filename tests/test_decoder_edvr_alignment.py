import numpy as np
import torch

from decoder.edvr.alignment import PcdAlignment, Pyramid
from tests import edvr_numpy


def _pyramid(seed: int) -> Pyramid:
    return Pyramid(
        *(edvr_numpy.random_features(1, 4, 8 >> k, 12 >> k, seed=seed + k) for k in range(3))
    )


def test_alignment_equals_its_definition() -> None:
    network = PcdAlignment(4, 2)
    layers = edvr_numpy.randomise(network, seed=1)
    neighbour, reference = _pyramid(10), _pyramid(20)

    with torch.no_grad():
        out = network(neighbour, reference)[0].numpy()

    expected = edvr_numpy.align(
        [level[0].double().numpy() for level in neighbour],
        [level[0].double().numpy() for level in reference],
        layers,
        "",
    )
    np.testing.assert_allclose(out, expected, atol=2e-4)


def test_alignment_leaves_the_features_it_reads_unchanged() -> None:
    network = PcdAlignment(4, 2)
    edvr_numpy.randomise(network, seed=1)
    neighbour, reference = _pyramid(10), _pyramid(20)
    before = [level.clone() for level in (*neighbour, *reference)]

    with torch.no_grad():
        network(neighbour, reference)

    for level, kept in zip((*neighbour, *reference), before, strict=True):
        assert torch.equal(level, kept)


def test_offsets_can_learn_although_they_start_at_zero() -> None:
    torch.manual_seed(0)
    network = PcdAlignment(4, 2)

    network(_pyramid(10), _pyramid(20)).square().sum().backward()

    for name, parameter in network.named_parameters():
        if "conv_offset.weight" in name:
            assert not parameter.any(), f"{name} does not start at zero"
            assert parameter.grad is not None
            assert parameter.grad.abs().sum() > 0, f"{name} gets no gradient"
