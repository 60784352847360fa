import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from decoder.edvr.deform_conv import DeformConvPack, deform_conv2d
from tests import edvr_numpy


def _inputs(
    *, channels: int, groups: int, size: tuple[int, int], out_size: tuple[int, int], spread: float
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """x, offset, mask, weight, bias for two pictures and a 3x3 kernel with 3 outputs."""
    generator = torch.Generator().manual_seed(groups)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    return (
        random(2, channels, *size),
        spread * random(2, 18 * groups, *out_size),
        torch.rand((2, 9 * groups, *out_size), generator=generator),
        random(3, channels, 3, 3),
        random(3),
    )


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "out_size"),
    [(1, 1, 1, (5, 7)), (2, 1, 1, (3, 4)), (1, 2, 2, (5, 7)), (1, 0, 1, (3, 5))],
)
def test_deformable_convolution_equals_a_loop_over_its_definition(
    groups: int, stride: int, padding: int, dilation: int, out_size: tuple[int, int]
) -> None:
    # A spread of 3 pixels on a 5x7 picture puts many samples across and beyond its edges.
    x, offset, mask, weight, bias = _inputs(
        channels=4, groups=groups, size=(5, 7), out_size=out_size, spread=3.0
    )

    out = deform_conv2d(
        x, offset, mask, weight, bias, stride=stride, padding=padding, dilation=dilation
    )

    assert out.shape == (2, 3, *out_size)
    for picture in range(2):
        expected = edvr_numpy.deform_conv(
            x[picture].double().numpy(),
            offset[picture].double().numpy(),
            mask[picture].double().numpy(),
            weight.double().numpy(),
            bias.double().numpy(),
            stride=stride,
            padding=padding,
            dilation=dilation,
        )
        np.testing.assert_allclose(out[picture].numpy(), expected, atol=2e-4)


def test_without_offsets_and_with_full_masks_it_is_a_plain_convolution() -> None:
    x, offset, mask, weight, bias = _inputs(
        channels=4, groups=2, size=(6, 8), out_size=(6, 8), spread=0.0
    )

    out = deform_conv2d(x, offset, torch.ones_like(mask), weight, bias)

    torch.testing.assert_close(out, F.conv2d(x, weight, bias, padding=1), atol=1e-5, rtol=0)


def test_the_first_number_of_an_offset_moves_down_and_the_second_to_the_right() -> None:
    x = torch.arange(30.0).reshape(1, 1, 5, 6)
    centre = torch.zeros(1, 1, 3, 3)
    centre[0, 0, 1, 1] = 1
    offset = torch.zeros(1, 18, 5, 6)
    offset[:, 8], offset[:, 9] = 1, 2  # tap 4 is the centre

    out = deform_conv2d(x, offset, torch.ones(1, 9, 5, 6), centre, None)

    torch.testing.assert_close(out[..., :4, :4], x[..., 1:, 2:], atol=1e-3, rtol=0)
    assert out[..., 4, :].abs().max() < 1e-3, "samples below the picture are zero"


def test_offsets_masks_and_inputs_all_receive_gradients() -> None:
    tensors = _inputs(channels=4, groups=2, size=(5, 6), out_size=(5, 6), spread=0.5)
    for tensor in tensors:
        tensor.requires_grad_()

    gradients = torch.autograd.grad(deform_conv2d(*tensors).square().sum(), tensors)

    for gradient in gradients:
        assert gradient.isfinite().all()
        assert gradient.abs().sum() > 0


def test_a_pack_predicts_its_offsets_and_masks_from_the_guide() -> None:
    pack = DeformConvPack(4, 2)
    layers = {f"pack.{name}": value for name, value in edvr_numpy.randomise(pack, seed=1).items()}
    x = edvr_numpy.random_features(1, 4, 5, 6, seed=2)
    guide = edvr_numpy.random_features(1, 4, 5, 6, seed=3)

    with torch.no_grad():
        out = pack(x, guide)[0].numpy()

    expected = edvr_numpy.deform_pack(
        x[0].double().numpy(), guide[0].double().numpy(), layers, "pack"
    )
    np.testing.assert_allclose(out, expected, atol=1e-4)


def test_an_untrained_pack_is_half_a_plain_convolution_whatever_the_guide() -> None:
    torch.manual_seed(0)
    pack = DeformConvPack(4, 2)
    x = torch.randn(1, 4, 5, 6)

    with torch.no_grad():
        out = pack(x, torch.randn(1, 4, 5, 6))
        plain = F.conv2d(x, pack.weight, padding=1)

    torch.testing.assert_close(out, plain / 2, atol=1e-5, rtol=0)
