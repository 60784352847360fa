"""The ONNX operators that only arrange values, as torch calls; see `torch_operators`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from decoder.backends.contract import LibraryObject

Torch: TypeAlias = LibraryObject
Tensor: TypeAlias = LibraryObject
Attributes: TypeAlias = Mapping[str, LibraryObject]
Operator: TypeAlias = Callable[..., LibraryObject]
Bound: TypeAlias = tuple[Operator, tuple[int, ...]]
"""A function, and which inputs of the node it takes."""


def ints(tensor: Tensor | None) -> list[int]:
    """The values of an input that says how, such as a shape."""
    assert tensor is not None
    return [int(value) for value in tensor.reshape(-1).tolist()]


def _concat(torch: Torch, attributes: Attributes, inputs: Sequence[Tensor]) -> Bound:
    axis = attributes["axis"]
    return (lambda *parts: torch.cat(parts, dim=axis)), tuple(range(len(inputs)))


def _reshape(torch: Torch, attributes: Attributes, inputs: Sequence[Tensor]) -> Bound:
    del torch
    shape = ints(inputs[1])
    if not attributes.get("allowzero", 0):
        shape = [inputs[0].shape[i] if n == 0 else n for i, n in enumerate(shape)]
    return (lambda x: x.reshape(shape)), (0,)


def _expand(torch: Torch, _: Attributes, inputs: Sequence[Tensor]) -> Bound:
    shape = list(torch.broadcast_shapes(inputs[0].shape, tuple(ints(inputs[1]))))
    return (lambda x: x.expand(shape)), (0,)


def _transpose(torch: Torch, attributes: Attributes, inputs: Sequence[Tensor]) -> Bound:
    del torch
    order = attributes.get("perm", list(reversed(range(inputs[0].ndim))))
    return (lambda x: x.permute(order)), (0,)


def _unsqueeze(torch: Torch, _: Attributes, inputs: Sequence[Tensor]) -> Bound:
    del torch
    shape = list(inputs[0].shape)
    for axis in sorted(axis % (inputs[0].ndim + inputs[1].numel()) for axis in ints(inputs[1])):
        shape.insert(axis, 1)
    return (lambda x: x.reshape(shape)), (0,)


def _squeeze(torch: Torch, _: Attributes, inputs: Sequence[Tensor]) -> Bound:
    del torch
    ndim = inputs[0].ndim
    gone = (
        {axis % ndim for axis in ints(inputs[1])}
        if len(inputs) > 1
        else {axis for axis, length in enumerate(inputs[0].shape) if length == 1}
    )
    shape = [length for axis, length in enumerate(inputs[0].shape) if axis not in gone]
    return (lambda x: x.reshape(shape)), (0,)


def _slice(torch: Torch, _: Attributes, inputs: Sequence[Tensor]) -> Bound:
    starts, ends = ints(inputs[1]), ints(inputs[2])
    axes = ints(inputs[3]) if len(inputs) > 3 else list(range(len(starts)))
    steps = ints(inputs[4]) if len(inputs) > 4 else [1] * len(starts)
    chosen = []  # (axis, which positions along it)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        positions = range(inputs[0].shape[axis])[start:end:step]
        chosen.append((axis % inputs[0].ndim, positions))

    def sliced(x: Tensor) -> Tensor:
        for axis, positions in chosen:
            if positions.step == 1:
                x = x.narrow(axis, positions.start, len(positions))
            else:
                x = x.index_select(axis, torch.tensor(list(positions), device=x.device))
        return x

    return sliced, (0,)


def _split(torch: Torch, attributes: Attributes, inputs: Sequence[Tensor]) -> Bound:
    axis = attributes.get("axis", 0)
    length = inputs[0].shape[axis]
    if len(inputs) > 1:
        sizes = ints(inputs[1])
    else:
        size = -(-length // attributes["num_outputs"])
        sizes = [min(size, length - start) for start in range(0, length, size)]
    return (lambda x: torch.split(x, sizes, dim=axis)), (0,)


def _gather(torch: Torch, attributes: Attributes, inputs: Sequence[Tensor]) -> Bound:
    axis, index = attributes.get("axis", 0), inputs[1]
    shape = [*inputs[0].shape[:axis], *index.shape, *inputs[0].shape[axis + 1 :]]

    def gathered(x: Tensor, at: Tensor) -> Tensor:
        flat = at.reshape(-1).to(x.device)
        return torch.index_select(x, axis, flat).reshape(shape)

    return gathered, (0, 1)


def _shape(torch: Torch, attributes: Attributes, inputs: Sequence[Tensor]) -> Bound:
    shape = list(inputs[0].shape)[attributes.get("start", 0) : attributes.get("end")]
    return (lambda: torch.tensor(shape, dtype=torch.int64)), ()


def _range(torch: Torch, _: Attributes, inputs: Sequence[Tensor]) -> Bound:
    start, limit, delta = (each.item() for each in inputs)
    kind = inputs[0].dtype
    return (lambda: torch.arange(start, limit, delta, dtype=kind)), ()


def _identity(torch: Torch, _: Attributes, inputs: Sequence[Tensor]) -> Bound:
    del torch, inputs
    return (lambda x: x), (0,)


def _depth_to_space(torch: Torch, attributes: Attributes, inputs: Sequence[Tensor]) -> Bound:
    batch, channels, height, width = inputs[0].shape
    block = attributes["blocksize"]
    if attributes.get("mode", b"DCR") == b"CRD":
        return partial(torch.nn.functional.pixel_shuffle, upscale_factor=block), (0,)
    split = [batch, block, block, channels // block**2, height, width]
    whole = [batch, channels // block**2, height * block, width * block]
    return (lambda x: x.reshape(split).permute(0, 3, 4, 1, 5, 2).reshape(whole)), (0,)


ARRANGING: dict[str, Callable[..., Bound]] = {
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Expand": _expand,
    "Gather": _gather,
    "Identity": _identity,
    "Range": _range,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
