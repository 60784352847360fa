import numpy as np
import pytest
import torch

from decoder.edvr.predeblur import Predeblur
from tests import edvr_numpy


@pytest.mark.parametrize(("hr_in", "size"), [(False, (8, 12)), (True, (16, 32))])
def test_predeblur_equals_its_definition(hr_in: bool, size: tuple[int, int]) -> None:
    network = Predeblur(3, 4, hr_in=hr_in)
    layers = edvr_numpy.randomise(network, seed=1)
    frame = edvr_numpy.random_features(1, 3, *size, seed=2)

    with torch.no_grad():
        out = network(frame)[0].numpy()

    assert out.shape == ((4, 4, 8) if hr_in else (4, 8, 12))
    expected = edvr_numpy.predeblur(frame[0].double().numpy(), layers, "", hr_in=hr_in)
    np.testing.assert_allclose(out, expected, atol=1e-4)
