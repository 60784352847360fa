"""Modulated deformable convolution (Zhu et al., "Deformable ConvNets v2", CVPR 2019) in torch.

No compiled operator is needed: samples are gathered by `grid_sample` and combined by a 1x1
convolution. On export the same call can instead become the ONNX operator `DeformConv`
(opset 19+), which ONNX Runtime runs natively and other engines do not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DeformForm = Literal["grid_sample", "deform_conv"]

ONNX_OPSET = 20
"""GridSample with 4-D linear mode is stable since 16, DeformConv exists since 19."""

_form: DeformForm = "grid_sample"


@contextmanager
def export_form(form: DeformForm) -> Iterator[None]:
    """While active, `deform_conv2d` is traced for ONNX in this form."""
    global _form
    previous, _form = _form, form
    try:
        yield
    finally:
        _form = previous


def deform_conv2d(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: int = 1,
    padding: int = 1,
    dilation: int = 1,
) -> Tensor:
    """Convolve `x` at positions moved by `offset` and weighted by `mask`.

    x: (B, C, H, W). weight: (O, C, k, k). With K = k*k taps and G groups,
    offset: (B, 2*G*K, h, w), pairs (dy, dx) in input pixels, taps row by row, group-major;
    mask: (B, G*K, h, w). Returns (B, O, h, w). Samples outside `x` count as zero.
    G is read from the shape of `mask`; it must divide C.
    """
    taps = weight.shape[2] * weight.shape[3]
    groups = mask.shape[1] // taps
    if _form == "deform_conv":
        return _as_onnx_operator(x, offset, mask, weight, bias, stride, padding, dilation, groups)
    batch, _, height, width = offset.shape
    pairs = offset.reshape(batch * groups, taps, 2, height, width).flip(2)
    per_group = x.shape[1] // groups
    gate = mask.reshape(batch, groups, 1, taps, height, width)
    gate = gate.expand(-1, -1, per_group, -1, -1, -1).reshape(batch, -1, height, width)
    return _sample_and_combine(x, pairs, gate, weight, bias, stride, padding, dilation)


def _sample_and_combine(
    x: Tensor,
    pairs: Tensor,
    gate: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: int,
    padding: int,
    dilation: int,
) -> Tensor:
    """The grid form. pairs: (B*G, K, 2, h, w), each pair (dx, dy) as grid_sample orders them.

    gate: (B, C*K, h, w), the mask of each group repeated for its channels.
    """
    batch, channels, height, width = x.shape
    grouped, taps, _, out_height, out_width = pairs.shape
    positions = _positions(out_height, out_width, weight, stride, padding, dilation, x.device)
    # pixel centres to [-1, 1] as align_corners=False has it, the scale applied to both summands
    # so that the fixed one folds into a constant
    size = torch.tensor([width, height], dtype=torch.float32, device=x.device)
    base = (2 * positions + 1) / size - 1
    grid = pairs.float().permute(0, 1, 3, 4, 2) * (2 / size) + base
    # One grid_sample for all taps: they are stacked along the height of the grid.
    sampled = F.grid_sample(
        x.reshape(grouped, channels * batch // grouped, height, width).float(),
        grid.reshape(grouped, taps * out_height, out_width, 2),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    columns = sampled.to(x.dtype).reshape(batch, channels * taps, out_height, out_width)
    kernel = weight.reshape(weight.shape[0], channels * taps, 1, 1)
    return F.conv2d(columns * gate, kernel, bias)


def _positions(
    height: int,
    width: int,
    weight: Tensor,
    stride: int,
    padding: int,
    dilation: int,
    device: torch.device,
) -> Tensor:
    """Where an unmoved kernel samples, (x, y) in input pixels: (1, K, h, w, 2), float32."""
    kernel_h, kernel_w = weight.shape[2:]
    taps = kernel_h * kernel_w
    rows = torch.arange(height, device=device, dtype=torch.float32) * stride - padding
    columns = torch.arange(width, device=device, dtype=torch.float32) * stride - padding
    tap_rows = torch.arange(kernel_h, device=device, dtype=torch.float32) * dilation
    tap_columns = torch.arange(kernel_w, device=device, dtype=torch.float32) * dilation
    y = tap_rows.repeat_interleave(kernel_w).reshape(taps, 1, 1) + rows.reshape(1, height, 1)
    x = tap_columns.repeat(kernel_h).reshape(taps, 1, 1) + columns.reshape(1, 1, width)
    shape = (taps, height, width)
    return torch.stack((x.expand(shape), y.expand(shape)), dim=-1)[None]


def _as_onnx_operator(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: int,
    padding: int,
    dilation: int,
    groups: int,
) -> Tensor:
    inputs = (x, weight, offset, weight.new_zeros(weight.shape[0]) if bias is None else bias, mask)
    return torch.onnx.ops.symbolic(
        "DeformConv",
        inputs,
        {
            "strides": [stride, stride],
            "pads": [padding] * 4,
            "dilations": [dilation, dilation],
            "offset_group": groups,
            "group": 1,
            "kernel_shape": list(weight.shape[2:]),
        },
        dtype=x.dtype,
        shape=(x.shape[0], weight.shape[0], mask.shape[2], mask.shape[3]),
        version=19,
    )


class DeformConvPack(nn.Module):
    """Deformable convolution whose offsets and masks are predicted from a second input.

    Parameter names follow the published checkpoints: `weight`, `bias`, `conv_offset.*`.
    Offsets start at zero and masks at one half, so training starts from a plain convolution.
    """

    def __init__(
        self, channels: int, groups: int, *, guide: int | None = None, kernel: int = 3
    ) -> None:
        super().__init__()
        self.kernel, self.groups = kernel, groups
        self.weight = nn.Parameter(torch.empty(channels, channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(channels))
        nn.init.kaiming_uniform_(self.weight, a=1)
        self.conv_offset = nn.Conv2d(guide or channels, 3 * groups * kernel**2, 3, padding=1)
        nn.init.zeros_(self.conv_offset.weight)
        nn.init.zeros_(self.conv_offset.bias) if self.conv_offset.bias is not None else None

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """x: (B, C, H, W) to sample from; guide: (B, C', H, W) tells where. Gives (B, C, H, W)."""
        taps, padding = self.kernel**2, self.kernel // 2
        pairs = 2 * self.groups * taps
        if _form == "deform_conv":
            moved = self.conv_offset(guide)
            offset, mask = moved[:, :pairs], torch.sigmoid(moved[:, pairs:])
            return deform_conv2d(x, offset, mask, self.weight, self.bias, padding=padding)
        # Pairs are swapped, and masks repeated for the channels of their group, in the weights that
        # predict them, where it folds away on export, instead of in the data.
        weight, bias = self.conv_offset.weight, self.conv_offset.bias
        assert bias is not None
        swapped = weight[:pairs].reshape(-1, 2, *weight.shape[1:]).flip(1).flatten(0, 1)
        swapped_bias = bias[:pairs].reshape(-1, 2).flip(1).flatten(0, 1)
        offset = F.conv2d(guide, swapped, swapped_bias, padding=1)
        repeats = x.shape[1] // self.groups
        gate_weight = _repeat_groups(weight[pairs:], self.groups, repeats)
        gate_bias = _repeat_groups(bias[pairs:], self.groups, repeats)
        gate = torch.sigmoid(F.conv2d(guide, gate_weight, gate_bias, padding=1))
        batch, _, height, width = offset.shape
        offset = offset.reshape(batch * self.groups, taps, 2, height, width)
        return _sample_and_combine(x, offset, gate, self.weight, self.bias, 1, padding, 1)


def _repeat_groups(rows: Tensor, groups: int, repeats: int) -> Tensor:
    """(G*K, ...) -> (G*repeats*K, ...): each group's taps, once for each of its channels."""
    grouped = rows.reshape(groups, 1, -1, *rows.shape[1:])
    return grouped.expand(-1, repeats, *(-1,) * (grouped.ndim - 2)).flatten(0, 2)
