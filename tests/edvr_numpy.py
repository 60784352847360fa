"""EDVR written a second time, in plain numpy and float64: slow, straightforward, for tests only.

It shares no code with `decoder.edvr`. Layers are looked up by their published names in a dict of
arrays, pictures are (C, H, W) without a batch axis, and the deformable convolution is a loop over
output pixels. Structure: Wang et al. 2019, figures 2 to 4, and Zhu et al. 2019, equation 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Array = NDArray[np.float64]
Layers = Mapping[str, Array]


def randomise(module: nn.Module, *, seed: int) -> Layers:
    """Fill all parameters so that activations keep their size and offsets span some pixels."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 100
        scale = (3.0 if "conv_offset" in name else 1.0) / math.sqrt(fan_in)
        with torch.no_grad():
            parameter.normal_(0, scale, generator=generator)
    return {name: value.double().numpy() for name, value in module.state_dict().items()}


def random_features(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def conv(x: Array, layers: Layers, name: str, *, stride: int = 1) -> Array:
    weight, bias = layers[f"{name}.weight"], layers[f"{name}.bias"]
    kernel = weight.shape[2]
    pad = kernel // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    height = (x.shape[1] + 2 * pad - kernel) // stride + 1
    width = (x.shape[2] + 2 * pad - kernel) // stride + 1
    out = np.zeros((weight.shape[0], height, width))
    for row in range(height):
        for column in range(width):
            top, left = row * stride, column * stride
            patch = padded[:, top : top + kernel, left : left + kernel]
            out[:, row, column] = np.tensordot(weight, patch, axes=3) + bias
    return out


def bilinear_sample(plane: Array, y: float, x: float) -> float:
    """The value at (y, x) between four pixels; pixels outside the plane are zero."""
    top, left = math.floor(y), math.floor(x)
    value = 0.0
    for row, weight_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, weight_x in ((left, 1 - (x - left)), (left + 1, x - left)):
            if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
                value += weight_y * weight_x * plane[row, column]
    return value


def deform_conv(
    x: Array,
    offset: Array,
    mask: Array,
    weight: Array,
    bias: Array,
    *,
    stride: int = 1,
    padding: int = 1,
    dilation: int = 1,
) -> Array:
    """x (C, H, W), offset (2*G*K, h, w) in pairs (dy, dx), mask (G*K, h, w) -> (O, h, w)."""
    outputs, channels, kernel_h, kernel_w = weight.shape
    taps = kernel_h * kernel_w
    groups = mask.shape[0] // taps
    out = np.zeros((outputs, *mask.shape[1:])) + bias[:, None, None]
    for row in range(mask.shape[1]):
        for column in range(mask.shape[2]):
            for channel in range(channels):
                group = channel // (channels // groups)
                for tap in range(taps):
                    tap_row, tap_column = divmod(tap, kernel_w)
                    at = group * taps + tap
                    sample = bilinear_sample(
                        x[channel],
                        row * stride - padding + tap_row * dilation + offset[2 * at, row, column],
                        column * stride
                        - padding
                        + tap_column * dilation
                        + offset[2 * at + 1, row, column],
                    )
                    weighted = sample * mask[at, row, column]
                    out[:, row, column] += weight[:, channel, tap_row, tap_column] * weighted
    return out


def deform_pack(x: Array, guide: Array, layers: Layers, name: str) -> Array:
    predicted = conv(guide, layers, f"{name}.conv_offset")
    third = predicted.shape[0] // 3
    mask = sigmoid(predicted[2 * third :])
    weight, bias = layers[f"{name}.weight"], layers[f"{name}.bias"]
    return deform_conv(x, predicted[: 2 * third], mask, weight, bias)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def leaky(x: Array) -> Array:
    return np.where(x > 0, x, 0.1 * x)


def enlarge(x: Array, factor: int) -> Array:
    """Bilinear; output sample i looks at input position (i + 1/2) / factor - 1/2, kept inside."""
    for axis in (1, 2):
        count = x.shape[axis]
        at = (np.arange(count * factor) + 0.5) / factor - 0.5
        x = np.apply_along_axis(
            lambda line, at=at: np.interp(at, np.arange(len(line)), line), axis, x
        )
    return x


def shrink(x: Array) -> Array:
    """Maximum and mean over 3x3 around every second pixel, stacked; beyond the edge lies zero."""
    channels, height, width = x.shape
    shape = (channels, (height + 1) // 2, (width + 1) // 2)
    strongest, usual = np.zeros(shape), np.zeros(shape)
    for row in range(shape[1]):
        for column in range(shape[2]):
            top, left = max(2 * row - 1, 0), max(2 * column - 1, 0)
            patch = x[:, top : 2 * row + 2, left : 2 * column + 2]
            strongest[:, row, column] = patch.max(axis=(1, 2))
            usual[:, row, column] = patch.sum(axis=(1, 2)) / 9
    return np.concatenate((strongest, usual))


def shuffle(x: Array) -> Array:
    """Every four channels become a 2x2 block of pixels, row by row."""
    channels, height, width = x.shape
    out = np.zeros((channels // 4, 2 * height, 2 * width))
    for row in range(2):
        for column in range(2):
            out[:, row::2, column::2] = x[2 * row + column :: 4]
    return out


def residual(x: Array, layers: Layers, name: str) -> Array:
    branch = np.maximum(conv(x, layers, f"{name}conv1"), 0)
    return x + conv(branch, layers, f"{name}conv2")


def residual_stack(x: Array, layers: Layers, name: str) -> Array:
    index = 0
    while f"{name}.{index}.conv1.weight" in layers:
        x = residual(x, layers, f"{name}.{index}.")
        index += 1
    return x


def align(neighbour: Sequence[Array], reference: Sequence[Array], layers: Layers, at: str) -> Array:
    """PCD; `at` is the prefix of the layers' names."""

    def layer(x: Array, name: str) -> Array:
        return leaky(conv(x, layers, f"{at}{name}"))

    guide = layer(np.concatenate((neighbour[2], reference[2])), "offset_conv1.l3")
    guide = layer(guide, "offset_conv2.l3")
    moved = leaky(deform_pack(neighbour[2], guide, layers, f"{at}dcn_pack.l3"))
    for level in (2, 1):
        coarse_guide, coarse = 2 * enlarge(guide, 2), enlarge(moved, 2)
        both = np.concatenate((neighbour[level - 1], reference[level - 1]))
        guide = layer(both, f"offset_conv1.l{level}")
        guide = layer(np.concatenate((guide, coarse_guide)), f"offset_conv2.l{level}")
        guide = layer(guide, f"offset_conv3.l{level}")
        moved = deform_pack(neighbour[level - 1], guide, layers, f"{at}dcn_pack.l{level}")
        moved = conv(np.concatenate((moved, coarse)), layers, f"{at}feat_conv.l{level}")
        if level == 2:
            moved = leaky(moved)
    guide = layer(np.concatenate((moved, reference[0])), "cas_offset_conv1")
    guide = layer(guide, "cas_offset_conv2")
    return leaky(deform_pack(moved, guide, layers, f"{at}cas_dcnpack"))


def attend(aligned: Sequence[Array], reference_index: int, layers: Layers, at: str) -> Array:
    """TSA; `at` is the prefix of the layers' names."""

    def layer(x: Array, name: str) -> Array:
        return leaky(conv(x, layers, f"{at}{name}"))

    embedded = conv(aligned[reference_index], layers, f"{at}temporal_attn1")
    weighted = []
    for frame in aligned:
        likeness = (conv(frame, layers, f"{at}temporal_attn2") * embedded).sum(axis=0)
        weighted.append(frame * sigmoid(likeness))
    stacked = np.concatenate(weighted)
    fused = layer(stacked, "feat_fusion")
    half = layer(shrink(layer(stacked, "spatial_attn1")), "spatial_attn2")
    quarter = layer(shrink(layer(half, "spatial_attn_l1")), "spatial_attn_l2")
    quarter = enlarge(layer(quarter, "spatial_attn_l3"), 2)
    half = layer(layer(half, "spatial_attn3") + quarter, "spatial_attn4")
    attention = conv(enlarge(half, 2), layers, f"{at}spatial_attn5")
    shift = conv(layer(attention, "spatial_attn_add1"), layers, f"{at}spatial_attn_add2")
    return fused * sigmoid(attention) * 2 + shift


def predeblur(frame: Array, layers: Layers, at: str, *, hr_in: bool) -> Array:
    """`at` is the prefix of the layers' names."""

    def halve(x: Array, name: str) -> Array:
        return leaky(conv(x, layers, f"{at}{name}", stride=2))

    l1 = leaky(conv(frame, layers, f"{at}conv_first"))
    if hr_in:
        l1 = halve(halve(l1, "stride_conv_hr1"), "stride_conv_hr2")
    l2 = halve(l1, "stride_conv_l2")
    l3 = halve(l2, "stride_conv_l3")
    l2 = residual(l2, layers, f"{at}resblock_l2_1.")
    l2 = l2 + enlarge(residual(l3, layers, f"{at}resblock_l3."), 2)
    l2 = residual(l2, layers, f"{at}resblock_l2_2.")
    for index in (0, 1):
        l1 = residual(l1, layers, f"{at}resblock_l1.{index}.")
    l1 = l1 + enlarge(l2, 2)
    for index in (2, 3, 4):
        l1 = residual(l1, layers, f"{at}resblock_l1.{index}.")
    return l1


def restore(
    window: Sequence[Array],
    layers: Layers,
    *,
    reference_index: int,
    hr_in: bool,
    with_predeblur: bool,
    with_tsa: bool,
) -> Array:
    """The whole network: frames (C, H, W) of a window -> the reference at the output's size."""
    pyramids = []
    for frame in window:
        if with_predeblur:
            l1 = conv(predeblur(frame, layers, "predeblur.", hr_in=hr_in), layers, "conv_1x1")
        else:
            l1 = leaky(conv(frame, layers, "conv_first"))
        l1 = residual_stack(l1, layers, "feature_extraction")
        l2 = leaky(conv(leaky(conv(l1, layers, "conv_l2_1", stride=2)), layers, "conv_l2_2"))
        l3 = leaky(conv(leaky(conv(l2, layers, "conv_l3_1", stride=2)), layers, "conv_l3_2"))
        pyramids.append((l1, l2, l3))
    aligned = [align(own, pyramids[reference_index], layers, "pcd_align.") for own in pyramids]
    if with_tsa:
        features = attend(aligned, reference_index, layers, "fusion.")
    else:
        features = conv(np.concatenate(aligned), layers, "fusion")
    features = residual_stack(features, layers, "reconstruction")
    features = leaky(shuffle(conv(features, layers, "upconv1")))
    features = leaky(shuffle(conv(features, layers, "upconv2")))
    detail = conv(leaky(conv(features, layers, "conv_hr")), layers, "conv_last")
    base = window[reference_index]
    return detail + (base if hr_in else enlarge(base, 4))
