import numpy as np
import pytest
import torch

from decoder.edvr.fusion import TsaFusion
from tests import edvr_numpy


@pytest.mark.parametrize(("frames", "reference_index"), [(1, 0), (3, 1), (3, 2), (5, 2)])
def test_fusion_equals_its_definition(frames: int, reference_index: int) -> None:
    network = TsaFusion(4, frames, reference_index)
    layers = edvr_numpy.randomise(network, seed=frames)
    aligned = [edvr_numpy.random_features(1, 4, 8, 12, seed=10 + n) for n in range(frames)]
    before = [frame.clone() for frame in aligned]

    with torch.no_grad():
        out = network(aligned)[0].numpy()

    expected = edvr_numpy.attend(
        [frame[0].double().numpy() for frame in aligned], reference_index, layers, ""
    )
    np.testing.assert_allclose(out, expected, atol=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(aligned, before, strict=True))


def test_a_frame_unlike_the_reference_counts_less() -> None:
    network = TsaFusion(2, 2, 0)
    edvr_numpy.randomise(network, seed=1)
    with torch.no_grad():
        for embedding in (network.temporal_attn1, network.temporal_attn2):
            torch.nn.init.dirac_(embedding.weight)
            assert embedding.bias is not None
            torch.nn.init.zeros_(embedding.bias)
        reference = torch.full((1, 2, 4, 4), 2.0)

        like, unlike = (
            network._weigh_frames([reference, reference])[1],
            network._weigh_frames([reference, -reference])[1],
        )

    assert like.abs().max() > 1.99
    assert unlike.abs().max() < 0.01
