"""Windows to adapt a model by: footage as the sender codes it, in every codec and at every rate.

Each piece goes through the sender's own tool, as the training corpus does, but is coded as one
stream, so that its later frames are what a viewer sees all evening and not how a stream begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from decoder.training.adaptation_footage import Piece, read_pieces
from decoder.training.corpus import (
    CorpusConfig,
    code_shot,
    cut_patch,
    window_around,
)
from decoder.training.samples import Sample
from stream.errors import ConfigError
from stream.frame import Frame
from stream.scene_signature import Signature, signature_of

PATCH = 192
"""HR side of a training patch: whole macroblocks of the LR at every scale."""

TRAIN_PATCHES, CHOOSE_PATCHES = 4096, 128
"""About how many are cut of all footage: 400 MB."""

PROVE_MOMENTS = 16
"""Whole pictures that a profile is proven on, each at every rate of every codec."""

_PATCHES_PER_MOMENT = 4

Rung = tuple[str, int]
"""Codec and bitrate in bits a second, as asked for; it is scaled with the area of other footage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationWindows:
    """What was cut: patches to train on and to choose by, whole pictures to prove by.

    looks: signatures of what is trained on, one a second.
    """

    train: list[Sample] = field(default_factory=list)
    choose: list[Sample] = field(default_factory=list)
    prove: list[tuple[Rung, Sample]] = field(default_factory=list)
    looks: list[Signature] = field(default_factory=list)


def coding_of(
    *, scale: int, window: int, lookahead: int, bitrates_bps: Sequence[int], codecs: Sequence[str]
) -> CorpusConfig:
    """How footage is coded and cut for a model; raises ConfigError for unknown codecs."""
    return CorpusConfig(
        scale=scale,
        window=window,
        lookahead=lookahead,
        bitrates_bps=tuple(bitrates_bps),
        codecs=tuple(codecs),
        patch=PATCH,
    )


def cut_windows(
    pieces: Sequence[Piece],
    coding: CorpusConfig,
    *,
    seed: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> AdaptationWindows:
    """Code all pieces and cut them.

    report: called with how many pieces are done, of how many. Raises ConfigError when a clip
    cannot be read or is too small, CodecError when the sender's tool fails.
    """
    rng, windows = np.random.default_rng(seed), AdaptationWindows()
    rungs: list[Rung] = [
        (codec, bitrate) for codec in coding.codecs for bitrate in coding.bitrates_bps
    ]
    counts = {
        part: sum(bool(getattr(piece, part)) for piece in pieces) * len(rungs)
        for part in ("train", "choose", "prove")
    }
    moments = {
        "train": _share(TRAIN_PATCHES // _PATCHES_PER_MOMENT, counts["train"]),
        "choose": _share(CHOOSE_PATCHES // _PATCHES_PER_MOMENT, counts["choose"]),
        "prove": _share(PROVE_MOMENTS * len(rungs), counts["prove"]),
    }
    report(0, len(pieces))
    for done, (piece, hr, rate) in enumerate(read_pieces(pieces, scale=coding.scale), start=1):
        if min(hr[0].size.width, hr[0].size.height) < coding.patch:
            raise ConfigError(
                f"{piece.clip} is {hr[0].size}, smaller than a patch of {coding.patch}"
            )
        every = max(1, round(rate))
        windows.looks.extend(signature_of(hr[at]) for at in piece.train[::every])
        with TemporaryDirectory(prefix="edvr-adapt-") as scratch:
            coded = code_shot(hr, rate, Path(scratch), coding)
        for rung, lr in zip(rungs, coded, strict=True):
            for at in _random(rng, piece.train, moments["train"], coding):
                windows.train.extend(_patches(hr, lr, at, rng, coding))
            for at in _spread(piece.choose, moments["choose"], coding):
                windows.choose.extend(_patches(hr, lr, at, rng, coding))
            for at in _spread(piece.prove, moments["prove"], coding):
                windows.prove.append((rung, _whole(hr, lr, at, coding)))
        report(done, len(pieces))
    return windows


def _share(total: int, parts: int) -> int:
    return -(-total // parts) if parts else 0


def _usable(frames: range, coding: CorpusConfig) -> range:
    """References whose window lies within `frames`, so that parts share no picture."""
    past = coding.window - 1 - coding.lookahead
    return range(frames.start + past, frames.stop - coding.lookahead)


def _random(rng: np.random.Generator, frames: range, count: int, coding: CorpusConfig) -> list[int]:
    usable = _usable(frames, coding)
    return [int(at) for at in rng.integers(usable.start, usable.stop, count)] if usable else []


def _spread(frames: range, count: int, coding: CorpusConfig) -> list[int]:
    """At most `count` moments from the first to the last."""
    usable = _usable(frames, coding)
    if not usable:
        return []
    places = np.linspace(usable[0], usable[-1], min(count, len(usable)))
    return [int(at) for at in places.round()]


def _patches(
    hr: list[Frame], lr: list[Frame], at: int, rng: np.random.Generator, coding: CorpusConfig
) -> list[Sample]:
    quantiser = _quantisers(lr, at, coding)
    return [
        {"quantiser": quantiser, **cut_patch(hr, lr, at, rng, coding, [])}
        for _ in range(_PATCHES_PER_MOMENT)
    ]


def _whole(hr: list[Frame], lr: list[Frame], at: int, coding: CorpusConfig) -> Sample:
    near = window_around(lr, at, coding)
    sample: Sample = {"quantiser": _quantisers(lr, at, coding)}
    for plane in ("y", "u", "v"):
        sample[f"lr_{plane}"] = np.stack([getattr(frame, plane) for frame in near])
        sample[f"hr_{plane}"] = getattr(hr[at], plane)[None]
    return sample


def _quantisers(lr: list[Frame], at: int, coding: CorpusConfig) -> NDArray[np.float32]:
    return np.array([frame.quantiser for frame in window_around(lr, at, coding)], np.float32)
