"""The training corpus: LR windows as the receiver decodes them, beside the HR they came from.

Each shot is coded at every rung by the sender's own tool, in a process of its own (the receiver's
package never imports the sender's), decoded, and cut into patches on macroblock boundaries, so
that the network sees coding blocks where it will see them live. One file a shot; files that exist
are kept, so an interrupted run goes on where it stopped. Deterministic by seed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from decoder.training.footage import Shot, find_shots, read_shot
from stream.errors import CodecError
from stream.frame import Frame
from stream.frame_av import frame_from_av
from stream.h264_quantiser import QuantiserReader

MACROBLOCK = 16
REFERENCE_PIXELS = 640 * 360
"""Rung bitrates are given for this many LR samples and scaled with the area of smaller footage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusConfig:
    """What to cut.

    scale: HR over LR. bitrates_bps: for REFERENCE_PIXELS at x2, a quarter as many samples at x4.
    patch: HR side in samples. moments: windows a shot and rung. patches: places a window.
    """

    scale: int
    bitrates_bps: tuple[int, ...]
    window: int = 3
    frames: int = 80
    patch: int = 192
    moments: int = 5
    patches: int = 4
    per_clip: int = 3
    seed: int = 1


def build_corpus(data: Path, folder: Path, config: CorpusConfig, *, jobs: int = 2) -> int:
    """Cut every shot under `data` into `folder`; returns how many shots are there."""
    folder.mkdir(parents=True, exist_ok=True)
    shots = find_shots(data, frames=config.frames, per_clip=config.per_clip, seed=config.seed)
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda shot: _cut_shot(shot, folder, config), shots))
    return len(shots)


def _cut_shot(shot: Shot, folder: Path, config: CorpusConfig) -> None:
    target = folder / f"{shot.key}.npz"
    if target.exists():
        return
    hr, rate = read_shot(shot)
    if len(hr) < config.window + 2:
        return
    rng = np.random.default_rng([config.seed, int.from_bytes(shot.key[-8:].encode(), "big")])
    samples: list[dict[str, NDArray[np.uint8]]] = []
    quantisers: list[NDArray[np.float32]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for bitrate_bps, lr in _code(hr, rate, Path(scratch), config).items():
            del bitrate_bps
            for _ in range(config.moments):
                at = _choose_moment(rng, len(hr), config.window)
                for _ in range(config.patches):
                    samples.append(_patch(hr, lr, at, rng, config))
                    quantisers.append(
                        np.array([f.quantiser for f in _around(lr, at, config)], np.float32)
                    )
    arrays = {name: np.stack([s[name] for s in samples]) for name in samples[0]}
    partial = target.with_suffix(".partial.npz")
    np.savez(partial, allow_pickle=False, quantiser=np.stack(quantisers), **arrays)
    partial.rename(target)


def _code(
    hr: list[Frame], rate: Fraction, scratch: Path, config: CorpusConfig
) -> dict[int, list[Frame]]:
    size = hr[0].size
    width, height = size.width // config.scale, size.height // config.scale
    area = width * height / (REFERENCE_PIXELS * (2 / config.scale) ** 2)
    rungs = {
        bitrate: f"{width}x{height}@{max(30_000, min(5_000_000, round(bitrate * area)))}"
        for bitrate in config.bitrates_bps
    }
    clip = scratch / "shot.y4m"
    _write_y4m(clip, hr, rate)
    command = [sys.executable, "-m", "encoder.encode_file", str(clip), str(scratch)]
    for rung in dict.fromkeys(rungs.values()):
        command += ["--rung", rung]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CodecError(f"coding a shot failed: {done.stderr.strip()}")
    coded = {}
    for bitrate, rung in rungs.items():
        frames = read_annex_b(scratch / f"{rung}.h264")
        if len(frames) != len(hr):
            raise CodecError(f"{len(frames)} of {len(hr)} frames came back at {rung}")
        coded[bitrate] = frames
    return coded


def _write_y4m(path: Path, frames: list[Frame], rate: Fraction) -> None:
    with path.open("wb") as file:
        size = frames[0].size
        file.write(
            f"YUV4MPEG2 W{size.width} H{size.height} F{rate.numerator}:{rate.denominator} "
            "Ip A1:1 C420mpeg2\n".encode()
        )
        for frame in frames:
            file.write(b"FRAME\n" + frame.y.tobytes() + frame.u.tobytes() + frame.v.tobytes())


def read_annex_b(path: Path) -> list[Frame]:
    """Decode a raw H.264 file, each frame with its quantiser; pts counts frames."""
    frames: list[Frame] = []
    reader = QuantiserReader()
    with av.open(str(path), format="h264") as container:
        codec = av.CodecContext.create("h264", "r")
        for packet in container.demux(video=0):
            if not packet.size:
                continue
            quantiser = reader.read(bytes(packet))
            for picture in codec.decode(av.Packet(bytes(packet))):
                frames.append(frame_from_av(picture, pts=len(frames), quantiser=quantiser))
        for picture in codec.decode(None):
            frames.append(frame_from_av(picture, pts=len(frames), quantiser=None))
    return frames


def _choose_moment(rng: np.random.Generator, count: int, window: int) -> int:
    """Index of a reference. Steady state mostly; one in five from the first second."""
    half = window // 2
    first, settled, last = half, min(count // 3, count - half - 1), count - half
    if rng.random() < 0.2:
        return int(rng.integers(first, max(first + 1, settled)))
    return int(rng.integers(settled, last))


def _around(frames: list[Frame], at: int, config: CorpusConfig) -> list[Frame]:
    half = config.window // 2
    return frames[at - half : at + half + 1]


def _patch(
    hr: list[Frame], lr: list[Frame], at: int, rng: np.random.Generator, config: CorpusConfig
) -> dict[str, NDArray[np.uint8]]:
    """Of two random places the one with more detail, so that flat walls do not fill the corpus."""
    lr_side = config.patch // config.scale
    size = lr[0].size
    places = []
    for _ in range(2):
        x = _aligned(rng, size.width - lr_side)
        y = _aligned(rng, size.height - lr_side)
        s = config.scale
        detail = float(hr[at].y[y * s :: 4, x * s :: 4][: config.patch // 4].std())
        places.append((detail, x, y))
    _, x, y = max(places)
    near = _around(lr, at, config)
    cut = {"lr": (near, x, y, lr_side), "hr": ([hr[at]], x * s, y * s, config.patch)}
    out = {}
    for name, (frames, left, top, side) in cut.items():
        for plane, half in (("y", 1), ("u", 2), ("v", 2)):
            rows = slice(top // half, (top + side) // half)
            columns = slice(left // half, (left + side) // half)
            out[f"{name}_{plane}"] = np.stack([getattr(f, plane)[rows, columns] for f in frames])
    return out


def _aligned(rng: np.random.Generator, most: int) -> int:
    return int(rng.integers(0, most // MACROBLOCK + 1)) * MACROBLOCK if most >= 0 else 0
