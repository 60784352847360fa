"""Small footage, corpora, networks and checkpoints that training is tested on."""

from __future__ import annotations

from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import nn

from decoder.edvr.live import LiveEdvr
from decoder.edvr.live_config import LiveConfig
from decoder.training.corpus import CorpusConfig
from decoder.training.raw_clip import RawClip
from decoder.training.recipe import Recipe, Schedule
from stream.frame import Frame, Plane, Size

TINY = LiveConfig(
    scale=2,
    channels=8,
    near_channels=4,
    deformable_groups=2,
    extract_blocks=0,
    reconstruct_blocks=1,
)

TRAINING_SOURCE, HELD_OUT_SOURCE = "river", "street"
"""Names of sources that fall on either side of the split."""


def moving_frame(index: int, *, width: int = 128, height: int = 96) -> Frame:
    """A pattern of edges, waves and colour that moves two samples to the right a frame."""
    rows, columns = np.mgrid[0:height, 0:width].astype(float)

    def drawn(step: int, phase: float) -> Plane:
        x, y = columns[::step, ::step] - 2 * index, rows[::step, ::step]
        waves = 50 * np.sin(x / 7 + phase) * np.cos(y / 5) + 40 * ((x + 2 * y) % 32 < 11)
        plane: Plane = np.clip(110 + waves, 16, 235).astype(np.uint8)
        return plane

    return Frame(y=drawn(1, 0), u=drawn(2, 1), v=drawn(2, 2), pts=index)


def write_footage(
    path: Path, *, count: int = 12, width: int = 128, height: int = 96, rate: int = 25
) -> Path:
    """Write `moving_frame` 0, 1, … as a raw clip."""
    frames = (moving_frame(index, width=width, height=height) for index in range(count))
    RawClip.write(path, frames, Fraction(rate))
    return path


def tiny_recipe(*, steps: int = 4, **schedule: float) -> Recipe:
    """A recipe that trains in a second."""
    values = {"batch": 2, "crop": 32, "warm_up_steps": 2, "validate_every": 2} | schedule
    return Recipe(
        name="tiny-x2",
        tier="tiny",
        network=TINY,
        corpus=CorpusConfig(scale=2, bitrates_bps=(200_000,), frames=8, patch=64),
        schedule=Schedule(steps=steps, **values),  # type: ignore[arg-type]  # int or float
    )


def write_shard(
    folder: Path, source: str, *, piece: int = 0, windows: int = 4, side: int = 64, seed: int = 0
) -> Path:
    """A shard in which each HR sample repeats the LR sample it lies over, in all three planes."""
    rng = np.random.default_rng([seed, piece])
    half, arrays = side // 2, {}
    for plane, size in (("y", half), ("u", half // 2), ("v", half // 2)):
        lr = rng.integers(16, 236, (windows, 3, size, size), np.uint8)
        arrays[f"lr_{plane}"] = lr
        arrays[f"hr_{plane}"] = lr[:, 1:2].repeat(2, axis=2).repeat(2, axis=3)
    quantiser = rng.integers(20, 45, (windows, 3)).astype(np.float32)
    path = folder / f"{source}-{piece:010d}.npz"
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(path, allow_pickle=False, quantiser=quantiser, **arrays)
    return path


def write_corpus(folder: Path) -> Path:
    """A corpus of two training shots and a held-out one."""
    for piece in range(2):
        write_shard(folder, TRAINING_SOURCE, piece=piece)
    write_shard(folder, HELD_OUT_SOURCE, seed=1)
    return folder


def randomise(network: nn.Module, *, seed: int) -> None:
    """Weights as after some training: neither zero anywhere nor wild."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            # Offsets of about a cell; a residual of some levels on the classical picture.
            # Neighbours count as much as they ever will.
            spreads = {"conv_offset": 0.3, "conv_last": 0.04, "fusion": 0.6}
            spread = next((spreads[part] for part in spreads if part in name), 0.2)
            parameter.copy_(spread * torch.randn(parameter.shape, generator=generator))


def tiny_network(config: LiveConfig = TINY, *, seed: int = 1) -> LiveEdvr:
    """A network that looks at all of its inputs, in evaluation mode."""
    network = LiveEdvr(config)
    randomise(network, seed=seed)
    return network.eval()


def write_checkpoint(path: Path, network: LiveEdvr) -> Path:
    """What publishing needs of a training's checkpoint."""
    recipe = asdict(tiny_recipe()) | {"network": asdict(network.config)}
    torch.save({"recipe": recipe, "step": 123, "average": network.state_dict()}, path)
    return path


def random_window(
    config: LiveConfig, size: Size, *, seed: int = 2
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """y (1, N, H, W), u and v (1, N, H/2, W/2) scaled as networks take them; quantiser (1, N)."""
    generator = torch.Generator().manual_seed(seed)

    def plane(height: int, width: int) -> torch.Tensor:
        codes = torch.randint(16, 236, (1, config.window, height, width), generator=generator)
        return (codes.float() - 128) / 128

    half = size.height // 2, size.width // 2
    quantiser = torch.linspace(0.4, 0.8, config.window)[None]
    return plane(size.height, size.width), plane(*half), plane(*half), quantiser
