"""Adds the 8-bit form to a model folder, if it loses next to nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from decoder.artefact import (
    EXTRACT_FILE,
    INT8_FILE,
    Artefact,
    find_artefact,
    fuse_file,
    write_artefact,
)
from decoder.backends import OnnxRuntimeConfig, OpenVinoConfig, open_backend
from decoder.lanczos import LanczosScaler
from decoder.training.clip_reader import find_clips, read_clip
from decoder.training.metrics import psnr_db
from decoder.training.quantise import quantised_graph
from stream.errors import ConfigError, ModelMismatch
from stream.frame import Frame, Size

MOST_LOSS_DB = 0.05
"""PSNR-Y, the mean over the pictures that are measured."""

PICTURES, APART = 4, 40
"""Taken of each clip, and how many frames lie between them."""

QUANTISERS = (22.0, 30.0, 38.0, None)
"""What the network is told of them in turn."""


def publish_int8(model: str, clips: Sequence[Path]) -> float:
    """Measure what a model's convolutions see of `clips`, and write the 8-bit form into its folder.

    model: its name, or its folder. Returns what the form loses in dB PSNR-Y.

    Half of the pictures give the ranges, the other half what is lost. Raises ConfigError when the
    model is none of single frames, when there are too few pictures, or when it loses more than
    `MOST_LOSS_DB` or its reference picture; the folder then holds no such form.
    """
    artefact = find_artefact(model)
    manifest = artefact.manifest
    if manifest.window != 1:
        raise ConfigError(f"{manifest.name} aligns neighbours, which 8 bits are too coarse for")
    pairs = list(_pairs(artefact, clips))
    if len(pairs) < 2:
        raise ConfigError("the clips hold too few pictures")
    samples = []
    # Its hard edges too, which footage may lack and graphics have: they must not be cut off.
    for lr in (*(small for small, _ in pairs[::2]), artefact.reference().frames[0]):
        exact = open_backend(OnnxRuntimeConfig(), artefact, lr.size)
        features = exact.extract(lr)
        samples.append({f"w0_f{k}": np.asarray(f.numpy()) for k, f in enumerate(features)})  # type: ignore[attr-defined] # OrtValue
        exact.close()
    graphs = {EXTRACT_FILE: artefact.extract_graph()}
    for form in ("grid_sample", "deform_conv"):
        graphs[fuse_file(form)] = artefact.fuse_graph(form)
    graphs[INT8_FILE] = quantised_graph(artefact.fuse_graph("deform_conv"), samples)
    bare = replace(manifest, sha256={})
    reference = artefact.reference()
    new = write_artefact(artefact.folder, bare, graphs=graphs, reference=reference)
    try:
        loss_db = float(np.mean([_loss_db(new, lr, hr) for lr, hr in pairs[1::2]]))
        reason = f"it loses {loss_db:.3f} dB, more than {MOST_LOSS_DB:g}"
    except ModelMismatch as error:
        loss_db, reason = float("inf"), str(error)
    if loss_db > MOST_LOSS_DB:
        del graphs[INT8_FILE]
        (artefact.folder / INT8_FILE).unlink()
        write_artefact(artefact.folder, bare, graphs=graphs, reference=reference)
        raise ConfigError(f"{manifest.name} is not good enough in 8 bits: {reason}")
    return loss_db


def _pairs(artefact: Artefact, clips: Sequence[Path]) -> Iterator[tuple[Frame, Frame]]:
    """Small pictures and what they were."""
    manifest = artefact.manifest
    number = 0
    for clip in find_clips(tuple(clips)):
        _, frames = read_clip(clip, multiple_of=manifest.multiple_of * manifest.scale)
        for hr in islice(frames, 0, PICTURES * APART, APART):
            size = hr.size
            lr_size = Size(width=size.width // manifest.scale, height=size.height // manifest.scale)
            lr = LanczosScaler(lr_size).scale(hr)
            yield replace(lr, quantiser=QUANTISERS[number % len(QUANTISERS)]), hr
            number += 1


def _loss_db(artefact: Artefact, lr: Frame, hr: Frame) -> float:
    found = []
    for int8 in (False, True):
        config = OpenVinoConfig(half=False, int8=int8)
        backend = open_backend(config, artefact, lr.size)
        luma = backend.fuse([backend.extract(lr)])[0]
        backend.close()
        found.append(psnr_db(luma, hr.y))
    return found[0] - found[1]
