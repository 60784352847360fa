"""Deformable convolution as one Triton kernel: positions, samples, masks and weights without a
trip to memory between them.

Every program takes a row of output places and all channels: for each tap it samples the input at
the moved places (bilinear, zero outside), weighs by the mask, and multiplies with the tap's weights
on the matrix units. Sums are float32. Definition: the ONNX operator DeformConv, opset 19, with
group 1; Zhu et al., "Deformable ConvNets v2", CVPR 2019.

Triton comes with torch for CUDA. Its interpreter (TRITON_INTERPRET=1) runs this on a CPU.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

Tensor = Any  # torch comes late

_PLACES = 64
"""Output places of one program."""

_SMALLEST = 16
"""Rows and columns that a matrix unit takes at least."""


@triton.jit  # type: ignore[untyped-decorator] # Triton ships no types
def _kernel(  # type: ignore[no-untyped-def] # Triton takes other annotations for globals
    x,
    offset,
    mask,
    weight,
    bias,
    out,
    height,
    width,
    out_height,
    out_width,
    stride,
    padding,
    dilation,
    channels: tl.constexpr,
    outputs: tl.constexpr,
    groups: tl.constexpr,
    kernel_height: tl.constexpr,
    kernel_width: tl.constexpr,
    places: tl.constexpr,
    many_channels: tl.constexpr,
    many_outputs: tl.constexpr,
) -> None:
    # many_…: the next powers of two, which blocks are made of
    taps: tl.constexpr = kernel_height * kernel_width
    picture = tl.program_id(1)
    place = tl.program_id(0) * places + tl.arange(0, places)
    channel = tl.arange(0, many_channels)
    output = tl.arange(0, many_outputs)
    area, out_area = height * width, out_height * out_width
    is_place = place < out_area
    is_sample = (channel < channels)[:, None] & is_place[None, :]
    group = channel // (channels // groups)
    row, column = place // out_width, place % out_width
    total = tl.zeros((many_outputs, places), tl.float32)
    for tap in range(taps):
        moved = (picture * groups + group) * taps + tap
        pair = (2 * moved)[:, None] * out_area + place[None, :]
        dy = tl.load(offset + pair, mask=is_sample, other=0.0).to(tl.float32)
        dx = tl.load(offset + pair + out_area, mask=is_sample, other=0.0).to(tl.float32)
        gate = tl.load(
            mask + moved[:, None] * out_area + place[None, :], mask=is_sample, other=0.0
        ).to(tl.float32)
        y = (row * stride - padding + (tap // kernel_width) * dilation)[None, :] + dy
        x_at = (column * stride - padding + (tap % kernel_width) * dilation)[None, :] + dx
        top, left = tl.floor(y), tl.floor(x_at)
        low, right = y - top, x_at - left
        top_row, left_column = top.to(tl.int32), left.to(tl.int32)
        plane = (picture * channels + channel)[:, None] * area
        sample = tl.zeros((many_channels, places), tl.float32)
        for corner in tl.static_range(4):
            at_row, at_column = top_row + corner // 2, left_column + corner % 2
            share = (low if corner // 2 else 1 - low) * (right if corner % 2 else 1 - right)
            is_inside = (at_row >= 0) & (at_row < height) & (at_column >= 0) & (at_column < width)
            value = tl.load(
                x + plane + at_row * width + at_column, mask=is_sample & is_inside, other=0.0
            )
            sample += share * value.to(tl.float32)
        weights = tl.load(
            weight + (output[:, None] * channels + channel[None, :]) * taps + tap,
            mask=(output < outputs)[:, None] & (channel < channels)[None, :],
            other=0.0,
        )
        total = tl.dot(weights, (sample * gate).to(weights.dtype), total, input_precision="ieee")
    total += tl.load(bias + output, mask=output < outputs, other=0.0).to(tl.float32)[:, None]
    tl.store(
        out + (picture * outputs + output)[:, None] * out_area + place[None, :],
        total.to(out.dtype.element_ty),
        mask=(output < outputs)[:, None] & is_place[None, :],
    )


def deform_conv(
    x: Tensor,
    weight: Tensor,
    offset: Tensor,
    bias: Tensor,
    mask: Tensor,
    *,
    groups: int,
    stride: int,
    padding: int,
    dilation: int,
) -> Tensor:
    """x (B, C, H, W), weight (O, C, kh, kw), bias (O,), all of one type -> (B, O, h, w).

    offset (B, 2 * groups * kh * kw, h, w): pairs (dy, dx) in samples; mask (B, groups * kh * kw,
    h, w). One stride, padding and dilation for both directions.
    """
    x, weight, offset, mask = (each.contiguous() for each in (x, weight, offset, mask))
    pictures, channels, height, width = x.shape
    outputs, _, kernel_height, kernel_width = weight.shape
    out_height, out_width = mask.shape[2:]
    out = x.new_empty(pictures, outputs, out_height, out_width)
    _kernel[(triton.cdiv(out_height * out_width, _PLACES), pictures)](
        x,
        offset,
        mask,
        weight,
        bias,
        out,
        height,
        width,
        out_height,
        out_width,
        stride,
        padding,
        dilation,
        channels=channels,
        outputs=outputs,
        groups=groups,
        kernel_height=kernel_height,
        kernel_width=kernel_width,
        places=_PLACES,
        many_channels=max(_SMALLEST, triton.next_power_of_2(channels)),
        many_outputs=max(_SMALLEST, triton.next_power_of_2(outputs)),
    )
    return out
