"""The ONNX operators that our graphs are made of, as torch calls.

Each takes a node's attributes and example inputs and gives a function of the inputs that change
from frame to frame; shapes, axes and the like are fixed, since an engine is open for one size.
Definitions: the ONNX operator specification, opset 20.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from decoder.backends.torch_arranging import (
    ARRANGING,
    Attributes,
    Bound,
    Tensor,
    Torch,
    ints,
)
from stream.errors import ModelMismatch

_TYPES = {1: "float32", 2: "uint8", 6: "int32", 7: "int64", 9: "bool", 10: "float16"}
"""onnx.TensorProto.DataType -> torch dtype."""

_ELEMENTWISE = {
    "Add": "add",
    "Sub": "sub",
    "Mul": "mul",
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Round": "round",  # both round half to even
    "Reciprocal": "reciprocal",
    "Sqrt": "sqrt",
    "Neg": "neg",
    "GreaterOrEqual": "ge",
    "Greater": "gt",
    "Equal": "eq",
    "Where": "where",
    "MatMul": "matmul",
}


def operator(
    torch: Torch, op_type: str, attributes: Attributes, inputs: Sequence[Tensor | None]
) -> Bound:
    """A function for one node, and which of the node's inputs it takes.

    inputs: as at the size the engine is for. Raises ModelMismatch for an unknown operator.
    """
    if op_type in _ELEMENTWISE:
        return getattr(torch, _ELEMENTWISE[op_type]), tuple(range(len(inputs)))
    builder = _BUILDERS.get(op_type)
    if builder is None:
        raise ModelMismatch(f"torch cannot run the graph: it has no operator {op_type} here")
    return builder(torch, attributes, inputs)


def _div(torch: Torch, _: Attributes, inputs: Sequence[Tensor]) -> Bound:
    is_whole = not inputs[0].is_floating_point()
    return partial(torch.div, rounding_mode="trunc" if is_whole else None), (0, 1)


def _sum(torch: Torch, _: Attributes, inputs: Sequence[Tensor]) -> Bound:
    del torch
    return (lambda *parts: sum(parts[1:], parts[0])), tuple(range(len(inputs)))


def _cast(torch: Torch, attributes: Attributes, inputs: Sequence[Tensor]) -> Bound:
    del inputs
    kind = getattr(torch, _TYPES[attributes["to"]])
    return (lambda x: x.to(kind)), (0,)


def _pad(torch: Torch, attributes: Attributes, inputs: Sequence[Tensor]) -> Bound:
    pads, ndim = ints(inputs[1]), inputs[0].ndim
    pairs = [(pads[axis], pads[axis + ndim]) for axis in range(ndim)]
    while pairs and pairs[0] == (0, 0):
        pairs.pop(0)
    flat = [side for pair in reversed(pairs) for side in pair]
    mode = {b"edge": "replicate", b"constant": "constant", b"reflect": "reflect"}[
        attributes.get("mode", b"constant")
    ]
    value = 0.0 if len(inputs) < 3 or inputs[2] is None else float(inputs[2].item())
    fill = {"value": value} if mode == "constant" else {}
    return partial(torch.nn.functional.pad, pad=flat, mode=mode, **fill), (0,)


def _clip(torch: Torch, _: Attributes, inputs: Sequence[Tensor | None]) -> Bound:
    low, high = (None if bound is None else float(bound.item()) for bound in inputs[1:3])
    return partial(torch.clamp, min=low, max=high), (0,)


def _reduced(name: str) -> Callable[..., Bound]:
    def build(torch: Torch, attributes: Attributes, inputs: Sequence[Tensor]) -> Bound:
        axes = ints(inputs[1]) if len(inputs) > 1 else list(range(inputs[0].ndim))
        keep = bool(attributes.get("keepdims", 1))
        return partial(getattr(torch, name), dim=axes, keepdim=keep), (0,)

    return build


def _leaky_relu(torch: Torch, attributes: Attributes, inputs: Sequence[Tensor]) -> Bound:
    del inputs
    slope = attributes.get("alpha", 0.01)
    return partial(torch.nn.functional.leaky_relu, negative_slope=slope), (0,)


def _conv(torch: Torch, attributes: Attributes, inputs: Sequence[Tensor]) -> Bound:
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    if (top, left) != (bottom, right):
        raise ModelMismatch("torch cannot run the graph: a convolution is padded on one side")
    return partial(
        torch.nn.functional.conv2d,
        stride=attributes.get("strides", [1, 1]),
        padding=[top, left],
        dilation=attributes.get("dilations", [1, 1]),
        groups=attributes.get("group", 1),
    ), tuple(range(len(inputs)))


def _pooled(name: str) -> Callable[..., Bound]:
    def build(torch: Torch, attributes: Attributes, inputs: Sequence[Tensor]) -> Bound:
        del inputs
        extra = (
            {"count_include_pad": bool(attributes.get("count_include_pad", 0))}
            if name == "avg_pool2d"
            else {}
        )
        return partial(
            getattr(torch.nn.functional, name),
            kernel_size=attributes["kernel_shape"],
            stride=attributes.get("strides", [1, 1]),
            padding=attributes.get("pads", [0, 0, 0, 0])[:2],
            **extra,
        ), (0,)

    return build


def _grid_sample(torch: Torch, attributes: Attributes, inputs: Sequence[Tensor]) -> Bound:
    del inputs
    return partial(
        torch.nn.functional.grid_sample,
        mode={b"linear": "bilinear", b"nearest": "nearest"}[attributes.get("mode", b"linear")],
        padding_mode=attributes.get("padding_mode", b"zeros").decode(),
        align_corners=bool(attributes.get("align_corners", 0)),
    ), (0, 1)


def _deform_conv(torch: Torch, attributes: Attributes, inputs: Sequence[Tensor]) -> Bound:
    from decoder.edvr.deform_conv import deform_conv2d

    del torch
    usual = {"strides": [1], "pads": [0], "dilations": [1]}
    settings = [set(attributes.get(name, values)) for name, values in usual.items()]
    if attributes.get("group", 1) != 1 or any(len(values) != 1 for values in settings):
        raise ModelMismatch("torch cannot run the graph: an unusual deformable convolution")
    stride, padding, dilation = (values.pop() for values in settings)
    groups = attributes.get("offset_group", 1)

    places = tuple(place for place, each in enumerate(inputs) if each is not None)

    def deformed(*given: Tensor) -> Tensor:
        found = dict(zip(places, given, strict=True))
        x, weight, offset = (found[place] for place in range(3))
        bias = found[3] if 3 in found else x.new_zeros(weight.shape[0])
        mask = found[4] if 4 in found else offset.new_ones(offset[:, ::2].shape)
        how = {"stride": stride, "padding": padding, "dilation": dilation}
        if x.is_cuda:
            from decoder.backends.triton_deform_conv import deform_conv

            return deform_conv(x, weight, offset, bias, mask, groups=groups, **how)
        return deform_conv2d(x, offset, mask, weight, bias, **how)

    return deformed, places


def _resize(torch: Torch, attributes: Attributes, inputs: Sequence[Tensor | None]) -> Bound:
    first = inputs[0]
    assert first is not None
    scales = inputs[2] if len(inputs) > 2 else None
    if scales is not None and scales.numel():
        rows, columns = (
            int(n * float(s)) for n, s in zip(first.shape[2:], scales.tolist()[2:], strict=True)
        )
    else:
        rows, columns = ints(inputs[3])[2:]
    mode = attributes.get("mode", b"nearest").decode()
    position = attributes.get("coordinate_transformation_mode", b"half_pixel")
    known = {"nearest": (b"asymmetric",), "linear": (b"half_pixel", b"pytorch_half_pixel")}
    if position not in known.get(mode, ()):
        raise ModelMismatch(f"torch cannot run the graph: Resize {mode} {position.decode()}")
    extra = {} if mode == "nearest" else {"align_corners": False}
    return partial(
        torch.nn.functional.interpolate,
        size=[rows, columns],
        mode={"nearest": "nearest", "linear": "bilinear"}[mode],
        **extra,
    ), (0,)


_BUILDERS: dict[str, Callable[..., Bound]] = {
    **ARRANGING,
    "AveragePool": _pooled("avg_pool2d"),
    "Cast": _cast,
    "Clip": _clip,
    "Conv": _conv,
    "DeformConv": _deform_conv,
    "Div": _div,
    "GridSample": _grid_sample,
    "LeakyRelu": _leaky_relu,
    "MaxPool": _pooled("max_pool2d"),
    "Pad": _pad,
    "ReduceMean": _reduced("mean"),
    "ReduceSum": _reduced("sum"),
    "Resize": _resize,
    "Sum": _sum,
}
