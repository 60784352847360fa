from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from decoder.edvr.upsampling import cubic_tap, lanczos_tap, upsampling_kernel
from tests.resampling import resampled

KERNELS = [
    # (stride, scale, lobes, reach), and how many cells away the taps reach
    pytest.param(4, 2, 3, 1, id="luma x2, large cells"),
    pytest.param(2, 2, 3, 2, id="luma x2"),
    pytest.param(2, 3, 3, 2, id="luma x3"),
    pytest.param(2, 4, 3, 2, id="luma x4"),
    pytest.param(2, 2, 0, 1, id="chroma x2, large cells"),
    pytest.param(1, 3, 0, 2, id="chroma x3"),
    pytest.param(1, 4, 0, 2, id="chroma x4"),
]


def _tap(lobes: int) -> tuple[Callable[[float], float], float]:
    """A resampling kernel and its reach in samples."""
    return (lambda distance: lanczos_tap(distance, lobes), lobes) if lobes else (cubic_tap, 2)


def _upsample(
    plane: NDArray[np.float64], stride: int, scale: int, lobes: int, reach: int
) -> NDArray[np.float64]:
    """Upsample as the network does: cells, the outermost repeated, and one convolution."""
    samples = torch.from_numpy(plane).float()[None, None]
    cells = F.pixel_unshuffle(F.pad(samples, (reach * stride,) * 4, mode="replicate"), stride)
    kernel = upsampling_kernel(stride, scale, lobes=lobes, reach=reach)
    out = F.pixel_shuffle(F.conv2d(cells, kernel), stride * scale)
    result: NDArray[np.float64] = out[0, 0].double().numpy()
    return result


@pytest.mark.parametrize(("stride", "scale", "lobes", "reach"), KERNELS)
def test_the_taps_of_every_output_sample_sum_to_one(
    stride: int, scale: int, lobes: int, reach: int
) -> None:
    kernel = upsampling_kernel(stride, scale, lobes=lobes, reach=reach)

    assert kernel.shape == ((stride * scale) ** 2, stride**2, 2 * reach + 1, 2 * reach + 1)
    sums = kernel.sum(dim=(1, 2, 3))
    torch.testing.assert_close(sums, torch.ones_like(sums), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("stride", "scale", "lobes", "reach"), KERNELS)
def test_it_equals_resampling_every_sample_directly_borders_included(
    stride: int, scale: int, lobes: int, reach: int
) -> None:
    plane = np.random.default_rng(stride + scale).uniform(-1, 1, (4 * stride, 6 * stride))

    expected = resampled(plane, scale, *_tap(lobes))
    np.testing.assert_allclose(_upsample(plane, stride, scale, lobes, reach), expected, atol=1e-5)


@pytest.mark.parametrize(("stride", "scale", "lobes", "reach"), KERNELS)
def test_a_flat_picture_stays_flat_to_its_borders(
    stride: int, scale: int, lobes: int, reach: int
) -> None:
    plane = np.full((3 * stride, 4 * stride), 0.37)

    out = _upsample(plane, stride, scale, lobes, reach)

    assert out.shape == (plane.shape[0] * scale, plane.shape[1] * scale)
    np.testing.assert_allclose(out, 0.37, atol=1e-6)


def test_the_kernels_are_one_in_the_middle_and_zero_on_other_samples() -> None:
    for tap, reach in (_tap(3), _tap(2), _tap(0)):
        assert tap(0.0) == 1
        assert [tap(sign * n) for sign in (1, -1) for n in (1, 2, 3)] == pytest.approx([0] * 6)
        assert tap(reach + 0.01) == 0
        assert tap(0.5) == tap(-0.5) > tap(0.9) > 0 > tap(1.5)


def test_the_kernels_have_their_published_values() -> None:
    # Duchon: sinc(1/2) sinc(1/6); Keys: 9/16 and -1/16 half-way between samples.
    assert lanczos_tap(0.5, 3) == pytest.approx(0.6079271018540267)
    assert cubic_tap(0.5) == pytest.approx(9 / 16)
    assert cubic_tap(1.5) == pytest.approx(-1 / 16)
