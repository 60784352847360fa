"""Published checkpoints: the authors', BasicSR's and mmagic's EDVR files, read into our network.

The shape of the network is read from the tensors, so no configuration file is needed; only the
reference's place in the window is not in there (every published file has it in the middle).
Files are loaded with `weights_only`: one that carries code or foreign objects is refused.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from decoder.edvr.network import Edvr, EdvrConfig
from decoder.edvr.published_names import published_name
from stream.errors import ConfigError

Weights = dict[str, Tensor]

_WRAPPERS = ("params_ema", "params", "state_dict")
"""Where a checkpoint keeps its weights, best first: BasicSR (averaged, last), mmagic."""

_PREFIXES = ("generator.", "module.")
"""mmagic's name for the network inside its trainer; torch's for a distributed one."""

_OFFSETS_AND_MASK = 27
"""Channels that predict one group's 9 taps: an offset of two numbers and a mask each."""

_NAMED_MISFITS = 3

# How torch names what its restricted reader will not build.
_FOREIGN = re.compile(r"unsupported global:? (?:GLOBAL )?(\S+)", re.IGNORECASE)


def import_checkpoint(path: Path, *, center_frame: int | None = None) -> tuple[EdvrConfig, Weights]:
    """Read an EDVR checkpoint of the authors, of BasicSR or of mmagic.

    center_frame: index of the reference in the window, oldest first; None means the middle.
    Returns the configuration that the tensors tell and weights for
    `Edvr(config).load_state_dict(weights)`: every name and shape checked, float32, owned.
    Raises ConfigError, naming what does not fit, for anything else.
    """
    found = _unwrap(_load(path), path)
    weights = {published_name(name): tensor for name, tensor in found.items()}
    try:
        config = config_from_weights(weights, center_frame=center_frame)
        _check_fit(config, weights)
    except ConfigError as error:
        raise ConfigError(f"{path} does not hold an EDVR network: {error}") from error
    return config, {name: tensor.float().contiguous() for name, tensor in weights.items()}


def config_from_weights(
    weights: Mapping[str, Tensor], *, center_frame: int | None = None
) -> EdvrConfig:
    """The configuration that published names and shapes tell.

    Raises ConfigError naming a tensor that is missing or of a shape that no EDVR has.
    """
    with_predeblur = any(name.startswith("predeblur.") for name in weights)
    first = "predeblur.conv_first.weight" if with_predeblur else "conv_first.weight"
    num_feat, num_in_ch = _kernel(weights, first)
    with_tsa = any(name.startswith("fusion.feat_fusion.") for name in weights)
    fusion = "fusion.feat_fusion.weight" if with_tsa else "fusion.weight"
    offsets = "pcd_align.cas_dcnpack.conv_offset.weight"
    return EdvrConfig(
        num_in_ch=num_in_ch,
        num_feat=num_feat,
        num_frame=_divide(fusion, _kernel(weights, fusion)[1], num_feat),
        deformable_groups=_divide(offsets, _kernel(weights, offsets)[0], _OFFSETS_AND_MASK),
        num_extract_block=_count_blocks(weights, "feature_extraction"),
        num_reconstruct_block=_count_blocks(weights, "reconstruction"),
        center_frame=center_frame,
        hr_in="predeblur.stride_conv_hr1.weight" in weights,
        with_predeblur=with_predeblur,
        with_tsa=with_tsa,
    )


def _load(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols, of no use to the user
            content: object = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # a damaged file can make torch's reader raise almost anything
        foreign = _FOREIGN.search(str(error))
        reason = (
            f"it holds a {foreign[1]} besides tensors; save its weights alone"
            if foreign
            else "it is damaged or no torch file"
        )
        raise ConfigError(f"cannot load {path} as a checkpoint: {reason}") from error
    return content


def _unwrap(content: object, path: Path) -> Weights:
    """The weights inside a checkpoint, without the prefix of a trainer."""
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path} holds a {type(content).__name__}, not named weights")
    weights = {str(name): tensor for name, tensor in content.items() if isinstance(tensor, Tensor)}
    for prefix in _PREFIXES:
        inside = {n.removeprefix(prefix): t for n, t in weights.items() if n.startswith(prefix)}
        weights = inside or weights  # what lies beside the network belongs to its trainer
    if not weights:
        raise ConfigError(f"{path} holds no weights")
    return weights


def _kernel(weights: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    """(outputs, inputs) of a convolution's weight."""
    if name not in weights:
        raise ConfigError(f"it lacks {name}")
    if weights[name].ndim != 4:
        raise ConfigError(f"{name} has shape {tuple(weights[name].shape)}, not of a convolution")
    return weights[name].shape[0], weights[name].shape[1]


def _divide(name: str, channels: int, unit: int) -> int:
    if unit < 1 or channels % unit:
        raise ConfigError(f"{name} has {channels} channels, not a multiple of {unit}")
    return channels // unit


def _count_blocks(weights: Iterable[str], stack: str) -> int:
    return len({name.split(".")[1] for name in weights if name.startswith(f"{stack}.")})


def _check_fit(config: EdvrConfig, weights: Weights) -> None:
    """Raises ConfigError unless names, shapes and values suit the network of `config`."""
    try:
        with torch.device("meta"):
            expected = {name: tensor.shape for name, tensor in Edvr(config).state_dict().items()}
    except RuntimeError as error:  # a tensor may claim any size without holding it
        raise ConfigError(f"no network of this size can be built: {config}") from error
    misfits = (
        [f"it lacks {name}" for name in expected if name not in weights]
        + [f"{name} is unknown" for name in weights if name not in expected]
        + [
            f"{name} has shape {tuple(weights[name].shape)}, not {tuple(shape)}"
            for name, shape in expected.items()
            if name in weights and weights[name].shape != shape
        ]
    ) or [
        f"{name} holds values that are not finite numbers"
        for name, tensor in weights.items()
        if not (tensor.is_floating_point() and bool(tensor.isfinite().all()))
    ]
    if misfits:
        more = len(misfits) - _NAMED_MISFITS
        named = "; ".join(misfits[:_NAMED_MISFITS])
        raise ConfigError(named + (f"; and {more} more" if more > 0 else ""))
