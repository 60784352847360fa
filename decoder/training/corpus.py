"""The training corpus: LR windows as the receiver decodes them, beside the HR they came from.

Each shot is coded at every rung by the sender's own tool, in a process of its own (the receiver's
package never imports the sender's), decoded, and cut into patches on macroblock boundaries, so
that the network sees coding blocks where it will see them live. One file a shot; files that exist
are kept, so an interrupted run goes on where it stopped. Deterministic by seed.

The paper's own tasks need other input too: blurred, and not coded at all.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from decoder.training.bicubic import BicubicScaler
from decoder.training.footage import Shot, find_shots, is_still
from decoder.training.mask import Mask
from decoder.training.motion_blur import read_blurred_shot
from decoder.training.raw_clip import RawClip
from decoder.training.sent_clip import CODECS, SentRung, code_as_sent, decoded_frames
from stream.errors import CodecError, ConfigError
from stream.frame import Frame, Size

log = logging.getLogger(__name__)

MACROBLOCK = 16
REFERENCE_PIXELS = 640 * 360
"""Rung bitrates are given for this many LR samples and scaled with the area of smaller footage."""

DESCRIPTION_FILE = "corpus.json"
"""What the shards beside it were cut by, so that two recipes never mix in one folder."""

UNCODED = "none"
"""In place of a codec: LR as bicubic shrinking leaves it, of no bitrate and unknown quantiser."""

_LOWEST_BPS, _HIGHEST_BPS = 30_000, 5_000_000  # what the sender's encoders accept
_MASK_TRIES = 200
"""A place beside a mask is drawn anew this often before a shot is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusConfig:
    """What to cut.

    scale: HR over LR. bitrates_bps: for REFERENCE_PIXELS at x2, a quarter as many samples at x4,
    four times as many at x1; empty when nothing is coded. codecs: those every shot is coded by, or
    UNCODED. exposures: most pictures averaged into a frame that travels (odd); 1 does not blur.
    window, lookahead: frames of a window, and how many of them come after the reference.
    frames: of a shot. patch: HR side in samples. moments: windows a shot and rung. patches: places
    a window. per_clip: pieces taken of a clip, four times as many of a very long one.
    masks: places that are never cut, see `Mask.parse`. leave_out: patterns of files not to take.
    Raises ConfigError for what cannot be cut.
    """

    scale: int
    bitrates_bps: tuple[int, ...] = ()
    codecs: tuple[str, ...] = ("h264",)
    exposures: int = 1
    window: int = 3
    lookahead: int = 1
    frames: int = 80
    patch: int = 192
    moments: int = 5
    patches: int = 4
    per_clip: int = 3
    masks: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    seed: int = 1

    def __post_init__(self) -> None:
        known = (*CODECS, UNCODED)
        if not self.codecs or not set(self.codecs) <= set(known):
            raise ConfigError(f"corpus: codecs must be of {known}, got {self.codecs}")
        if bool(self.bitrates_bps) == (self.codecs == (UNCODED,)):
            raise ConfigError(
                "a corpus needs at least one bitrate for its codecs, and none when nothing is coded"
            )
        if self.exposures < 1 or not self.exposures % 2:
            raise ConfigError(f"corpus: exposures must be odd, got {self.exposures}")
        for mask in self.masks:
            Mask.parse(mask)
        for name in ("scale", "window", "moments", "patches", "per_clip"):
            if getattr(self, name) < 1:
                raise ConfigError(f"corpus: {name} must be at least 1")
        if not 0 <= self.lookahead < self.window:
            raise ConfigError(f"lookahead {self.lookahead} does not fit window {self.window}")
        if self.frames < self.window + 2:
            raise ConfigError(f"corpus: {self.frames} frames are too few for a window")
        if self.patch < 1 or self.patch % (self.scale * MACROBLOCK):
            raise ConfigError(
                f"corpus: patch {self.patch} must be a multiple of {self.scale * MACROBLOCK}, whole"
                f" macroblocks at 1/{self.scale} of the size"
            )


def build_corpus(
    data: Path,
    folder: Path,
    config: CorpusConfig,
    *,
    jobs: int = 2,
    report: Callable[[int, int], None] | None = None,
) -> int:
    """Cut every shot under `data` into `folder`; returns how many shots are there.

    report: called with how many shots are done, of how many. Shots that cannot be used are logged
    and left out. Raises ConfigError when `folder` holds what another configuration cut, or no shot
    could be used.
    """
    _claim(folder, config)
    shots = find_shots(
        data,
        frames=config.frames,
        per_clip=config.per_clip,
        seed=config.seed,
        leave_out=config.leave_out,
    )
    usable = 0
    with ThreadPoolExecutor(jobs) as pool:
        tasks = {pool.submit(_cut_shot, shot, folder, config): shot for shot in shots}
        try:
            for done, task in enumerate(as_completed(tasks), start=1):
                try:
                    task.result()
                    usable += 1
                except (ConfigError, CodecError) as error:
                    log.warning("left out %s: %s", tasks[task].path.name, error)
                if report is not None:
                    report(done, len(shots))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if not usable:
        raise ConfigError(f"none of the {len(shots)} shots under {data} could be used")
    return usable


def _claim(folder: Path, config: CorpusConfig) -> None:
    """Write down what is cut here. Raises ConfigError when something else was."""
    folder.mkdir(parents=True, exist_ok=True)
    description = folder / DESCRIPTION_FILE
    wanted = json.dumps(asdict(config), indent=2) + "\n"
    if description.exists():
        if _described(description) != json.loads(wanted):
            raise ConfigError(f"{folder} was cut for another recipe; take another corpus folder")
    elif any(folder.glob("*.npz")):
        raise ConfigError(f"{folder} holds shards but no {DESCRIPTION_FILE}; take another folder")
    else:
        description.write_text(wanted, encoding="utf-8")


def _described(description: Path) -> object:
    """What a corpus was cut by; settings that it does not know were at their defaults."""
    try:
        found = json.loads(description.read_text(encoding="utf-8"))
    except ValueError:
        return None
    since = ("codecs", "exposures", "masks", "leave_out")
    defaults = {f.name: f.default for f in fields(CorpusConfig) if f.name in since}
    return json.loads(json.dumps(defaults)) | found if isinstance(found, dict) else None


def _cut_shot(shot: Shot, folder: Path, config: CorpusConfig) -> None:
    target = folder / f"{shot.key}.npz"
    if target.exists():
        return
    masks = [mask for mask in map(Mask.parse, config.masks) if mask.name == shot.path.name]
    if masks and is_still(shot.path):
        raise ConfigError("a mask lies still, but the camera over a still moves")
    read = read_blurred_shot(shot, scale=config.scale, exposures=config.exposures)
    hr = read.sharp
    if len(hr) < config.window + 2:
        raise ConfigError(f"it has {len(hr)} frames only")
    if min(hr[0].size.width, hr[0].size.height) < config.patch:
        raise ConfigError(f"{hr[0].size} is smaller than a patch of {config.patch}")
    rng = np.random.default_rng([config.seed, int.from_bytes(shot.key[-8:].encode(), "big")])
    samples: list[dict[str, NDArray[np.uint8]]] = []
    quantisers: list[NDArray[np.float32]] = []
    with TemporaryDirectory() as scratch:
        for lr in code_shot(read.seen, read.rate, Path(scratch), config):
            for _ in range(config.moments):
                at = _choose_moment(rng, len(hr), config)
                for _ in range(config.patches):
                    samples.append(cut_patch(hr, lr, at, rng, config, masks))
                    quantisers.append(
                        np.array([f.quantiser for f in window_around(lr, at, config)], np.float32)
                    )
    arrays = {name: np.stack([s[name] for s in samples]) for name in samples[0]}
    partial = target.with_suffix(".partial.npz")
    np.savez(partial, allow_pickle=False, quantiser=np.stack(quantisers), **arrays)
    partial.rename(target)


def code_shot(
    hr: list[Frame], rate: Fraction, scratch: Path, config: CorpusConfig
) -> list[list[Frame]]:
    """The shot as a receiver decodes it, once for each codec and bitrate of `config`."""
    size = hr[0].size
    lr_size = Size(width=size.width // config.scale, height=size.height // config.scale)
    area = lr_size.width * lr_size.height / (REFERENCE_PIXELS * (2 / config.scale) ** 2)
    rungs = [
        SentRung(
            size=lr_size,
            bitrate_bps=max(_LOWEST_BPS, min(_HIGHEST_BPS, round(bitrate_bps * area))),
            codec=codec,
        )
        for codec in config.codecs
        if codec != UNCODED
        for bitrate_bps in config.bitrates_bps
    ]
    coded = []
    if UNCODED in config.codecs:
        scaler = BicubicScaler(lr_size)
        coded.append([scaler.scale(frame) for frame in hr])
    if rungs:
        clip = RawClip.write(scratch / "shot.y4m", hr, rate)
        files = code_as_sent(clip.path, rungs, scratch)
    for rung in rungs:
        frames = list(decoded_frames(files[rung], rung.codec))
        if len(frames) != len(hr):
            raise CodecError(f"{len(frames)} of {len(hr)} frames came back at {rung}")
        coded.append(frames)
    return coded


def _choose_moment(rng: np.random.Generator, count: int, config: CorpusConfig) -> int:
    """Index of a reference. Steady state mostly; one in five from the first third."""
    first, last = config.window - 1 - config.lookahead, count - config.lookahead
    settled = min(max(first, count // 3), last - 1)
    if rng.random() < 0.2:
        return int(rng.integers(first, max(first + 1, settled)))
    return int(rng.integers(settled, last))


def window_around(frames: list[Frame], at: int, config: CorpusConfig) -> list[Frame]:
    """The window whose reference is frame `at`."""
    first = at - (config.window - 1 - config.lookahead)
    return frames[first : first + config.window]


def cut_patch(
    hr: list[Frame],
    lr: list[Frame],
    at: int,
    rng: np.random.Generator,
    config: CorpusConfig,
    masks: list[Mask],
) -> dict[str, NDArray[np.uint8]]:
    """Of two random places the one with more detail, so that flat walls do not fill the corpus."""
    lr_side = config.patch // config.scale
    s, sampled = config.scale, config.patch // 4
    places = []
    for _ in range(2):
        x, y = _place(rng, lr[0].size, config, masks)
        detail = float(hr[at].y[y * s :: 4, x * s :: 4][:sampled, :sampled].std())
        places.append((detail, x, y))
    _, x, y = max(places)
    near = window_around(lr, at, config)
    cut = {"lr": (near, x, y, lr_side), "hr": ([hr[at]], x * s, y * s, config.patch)}
    out = {}
    for name, (frames, left, top, side) in cut.items():
        for plane, half in (("y", 1), ("u", 2), ("v", 2)):
            rows = slice(top // half, (top + side) // half)
            columns = slice(left // half, (left + side) // half)
            out[f"{name}_{plane}"] = np.stack([getattr(f, plane)[rows, columns] for f in frames])
    return out


def _place(
    rng: np.random.Generator, size: Size, config: CorpusConfig, masks: list[Mask]
) -> tuple[int, int]:
    """Left and top, in LR samples, of a patch that shows nothing masked."""
    lr_side = config.patch // config.scale
    for _ in range(_MASK_TRIES):
        x, y = _aligned(rng, size.width - lr_side), _aligned(rng, size.height - lr_side)
        s = config.scale
        if not any(mask.covers(x * s, y * s, config.patch) for mask in masks):
            return x, y
    raise ConfigError("its masks leave no place for a patch")


def _aligned(rng: np.random.Generator, most: int) -> int:
    """A multiple of a macroblock from 0 to `most`."""
    return int(rng.integers(0, most // MACROBLOCK + 1)) * MACROBLOCK
