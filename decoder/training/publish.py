"""Turns a training checkpoint into a model artefact that receivers load."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from decoder.artefact import GRAPH_FILES, Artefact, Manifest, write_artefact
from decoder.artefact_reference import Planes, Reference
from decoder.edvr.checkpoint import import_checkpoint
from decoder.edvr.export import PlanesExtract, PlanesFuse, StreamingNetwork, export_graphs
from decoder.edvr.live_config import LiveConfig
from decoder.edvr.network import EDVR_L, EDVR_M, Edvr, EdvrConfig
from decoder.edvr.planes import EdvrPlanes
from decoder.training.networks import Network, build_network, network_config
from stream.errors import ConfigError
from stream.frame import Frame

LIVE_FEATURES = 8
"""How many tensors `LiveExtract` gives for a frame."""

PAPER_FEATURES = 4
"""How many `EdvrExtract` gives: three levels of the pyramid, and the frame for the skip."""

REFERENCE_CELLS = 6
"""Side of the reference window in units of `multiple_of`: small to store, large enough to align."""


def load_trained(checkpoint: Path) -> tuple[Network, dict[str, Any]]:
    """The averaged network of a checkpoint, in evaluation mode, and the recipe it was made by.

    Beside the recipe: `trained_steps`, and steps and batch of each stage before, `earlier`.
    Any: recipe values are of many types. Raises ConfigError when it is not such a checkpoint.
    """
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        recipe: dict[str, Any] = state["recipe"]
        network = build_network(network_config(recipe["network"]))
        network.load_state_dict(state["average"])
    except OSError as error:
        raise ConfigError(f"cannot read checkpoint {checkpoint}: {error.strerror}") from error
    except Exception as error:  # torch raises many types for a file that is not its own
        raise ConfigError(f"{checkpoint} is not a training checkpoint: {error}") from error
    made = {"trained_steps": int(state["step"]), "earlier": state.get("earlier", [])}
    return network.eval(), recipe | made


def publish(checkpoint: Path, folder: Path, *, version: str) -> Artefact:
    """Export the averaged weights of `checkpoint` as artefact `folder`."""
    network, recipe = load_trained(checkpoint)
    config = network.config
    codecs = tuple(codec for codec in recipe["corpus"].get("codecs", ("h264",)) if codec != "none")
    manifest = Manifest(
        name=recipe["name"],
        version=version,
        tier=recipe["tier"],
        scale=config.scale,
        window=config.window,
        lookahead=config.lookahead,
        multiple_of=config.multiple_of,
        inputs=("y", "u", "v", "quantiser"),
        features=LIVE_FEATURES if isinstance(config, LiveConfig) else PAPER_FEATURES,
        colour="limited-range 4:2:0",
        codecs=codecs,
        trained_on=_training(recipe, codecs),
        licence="Apache-2.0",
        sha256={},
    )
    return write_network(network, manifest, folder)


def _training(recipe: dict[str, Any], codecs: tuple[str, ...]) -> str:
    """What a model was trained on, in words. Any: recipe values are of many types."""
    corpus = recipe["corpus"]
    shown = "clips and photographs"
    if corpus.get("exposures", 1) > 1:
        shown += f", up to {corpus['exposures']} of them averaged into a blurred one,"
    if codecs:
        names = " and ".join({"h264": "H.264", "av1": "AV1"}.get(codec, codec) for codec in codecs)
        rates = ", ".join(f"{rate // 1000}" for rate in corpus["bitrates_bps"])
        shown += f" coded by the sender's {names} at {rates} kb/s"
    else:
        shown += " that were not coded"
    stages = [*recipe["earlier"], [recipe["trained_steps"], recipe["schedule"]["batch"]]]
    told = ", then ".join(f"{steps} steps of {batch} patches" for steps, batch in stages)
    return f"{told}; {shown}"


def publish_imported(
    checkpoint: Path,
    folder: Path,
    *,
    name: str,
    version: str,
    licence: str,
    center_frame: int | None = None,
) -> Artefact:
    """Export a published EDVR checkpoint as artefact `folder`; see `import_checkpoint`.

    The colour conversion goes into the graphs. Raises ConfigError when the checkpoint does not fit.
    """
    config, weights = import_checkpoint(checkpoint, center_frame=center_frame)
    network = Edvr(config)
    network.load_state_dict(weights)
    planes = EdvrPlanes(network.eval())  # refuses what is not RGB
    manifest = Manifest(
        name=name,
        version=version,
        tier=paper_tier(config),
        scale=config.scale,
        window=config.num_frame,
        lookahead=config.lookahead,
        multiple_of=config.multiple_of,
        inputs=("y", "u", "v", "quantiser"),
        features=PAPER_FEATURES,
        colour="limited-range 4:2:0",
        codecs=(),
        trained_on=f"whatever the publisher of {checkpoint.name} trained it on",
        licence=licence,
        sha256={},
    )
    return write_network(planes, manifest, folder)


def paper_tier(config: EdvrConfig) -> str:
    """Which of the paper's sizes a network has, or "edvr" for any other."""
    for tier, published in (("edvr-m", EDVR_M), ("edvr-l", EDVR_L)):
        if (config.num_feat, config.num_reconstruct_block) == (
            published.num_feat,
            published.num_reconstruct_block,
        ):
            return tier
    return "edvr"


def write_network(network: StreamingNetwork, manifest: Manifest, folder: Path) -> Artefact:
    """Export any streaming network as an artefact, with a reference computed by torch."""
    with tempfile.TemporaryDirectory() as scratch:
        count = export_graphs(
            network,
            Path(scratch),
            window=manifest.window,
            multiple_of=manifest.multiple_of,
        )
        if count != manifest.features:
            raise ConfigError(f"network gives {count} features, not {manifest.features}")
        graphs = {name: (Path(scratch) / name).read_bytes() for name in GRAPH_FILES}
    frames = reference_frames(manifest.window, REFERENCE_CELLS * manifest.multiple_of)
    reference = Reference(frames=frames, expected=run_network(network, frames))
    return write_artefact(folder, manifest, graphs=graphs, reference=reference)


def run_network(network: StreamingNetwork, frames: tuple[Frame, ...]) -> Planes:
    """One window through the network in torch, float32."""
    extract, fuse = PlanesExtract(network.extract), PlanesFuse(network.fuse, len(frames))
    features: list[torch.Tensor] = []
    with torch.no_grad():
        for frame in frames:
            planes = (torch.from_numpy(plane.copy()) for plane in (frame.y, frame.u, frame.v))
            known = -1.0 if frame.quantiser is None else frame.quantiser / 51
            features += extract(*planes, torch.tensor([known], dtype=torch.float32))
        y, u, v = (plane.numpy() for plane in fuse(*features))
    return y, u, v


def reference_frames(window: int, side: int) -> tuple[Frame, ...]:
    """A moving pattern with edges, texture and colour, different in every frame."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float64)
    texture = rng.normal(0, 12, (side, side))

    def drawn(shift: float, size: int, phase: float) -> NDArray[np.uint8]:
        step = side // size
        x, y = columns[::step, ::step] + shift, rows[::step, ::step]
        wave = 60 * np.sin(x / 5 + phase) * np.cos(y / 7) + 40 * ((x + 2 * y) % 24 < 9)
        grain = np.roll(texture, int(shift), axis=1)[::step, ::step]
        plane: NDArray[np.uint8] = np.clip(110 + wave + grain, 16, 235).astype(np.uint8)
        return plane

    return tuple(
        Frame(
            y=drawn(1.5 * index, side, 0.0),
            u=drawn(1.5 * index, side // 2, 1.0),
            v=drawn(1.5 * index, side // 2, 2.0),
            pts=index,
            quantiser=float(24 + 5 * index),
        )
        for index in range(window)
    )
