"""The clips that are measured: raw files of one size each, with their cuts."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av

from benchmarks.quality import read_y4m
from decoder.training.clip_reader import find_clips, read_clip
from decoder.training.raw_clip import RawClip
from encoder.scene import Scene, SceneConfig
from stream.errors import ConfigError
from stream.frame import CLOCK_HZ, Frame, Size
from stream.scene_cut import SceneCutDetector

log = logging.getLogger(__name__)

MULTIPLE_OF = 8
"""Pictures are cropped to multiples of this, so that a quarter of a side is still even."""

LEAD_IN_S = 2.0
"""So much of the clip, backwards, is coded before it. Its bits count, its pictures do not.

A stream starts with a keyframe that has to fit the rate-control buffer, and takes a second or two
to recover from it, the longer the larger the picture. In a clip of five seconds that would count
far more than it does live, and it would flatter small pictures.
"""

RENDERED = ("rendered-street", "rendered-studio")
"""The project's own clips: the two shots of the generated scene."""

RENDERED_FPS = Fraction(25)
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchClip:
    """One clip, raw at the output size.

    path: YUV4MPEG2. source_sha256: of the file it was made from, None for rendered ones.
    digest: SHA-256 of `path`. lead_in: frames that are coded before it. cuts: of all coded frames
    those that begin another shot; the encoders get keyframes there, and nowhere else but at the
    start.
    """

    name: str
    path: Path
    source_sha256: str | None
    digest: str
    size: Size
    frame_rate: Fraction
    frames: int
    lead_in: int
    cuts: frozenset[int]

    def read(self) -> Iterator[Frame]:
        """Its frames, which are what is judged."""
        return read_y4m(self.path)

    def read_coded(self) -> Iterator[Frame]:
        """The lead-in and then its frames, with pts in 1/90000 s."""
        return _timed(_with_lead_in(self.path, self.lead_in), self.frame_rate)


def prepare_clips(
    paths: tuple[Path, ...], folder: Path, *, short_side: int, seconds: float
) -> list[BenchClip]:
    """Write the first `seconds` of every clip to `folder`, its short side `short_side` samples.

    paths: clips, folders of clips, folders of numbered pictures; none means the rendered ones.
    Raises ConfigError for a path without clips, a clip that cannot be read, and a clip that was
    named and is smaller than the output. What is too small in a folder is left out with a warning.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not paths:
        return _rendered(folder, short_side=short_side, seconds=seconds)
    found = find_clips(paths)
    clips: list[BenchClip] = []
    for path in found:
        try:
            clip = _prepared(path, folder, short_side=short_side, seconds=seconds)
        except _TooSmall as error:
            if path in paths or len(found) == 1:
                raise
            log.warning("left out: %s", error)
            continue
        if clip.name in {other.name for other in clips}:
            raise ConfigError(f"two clips are called {clip.name}: results could not tell them")
        clips.append(clip)
    if not clips:
        raise ConfigError(f"no clip under {paths[0]} is {short_side} or more on its short side")
    return clips


class _TooSmall(ConfigError):
    """A clip with fewer samples than the output."""


def _prepared(path: Path, folder: Path, *, short_side: int, seconds: float) -> BenchClip:
    name = path.stem if path.is_file() else path.name
    size = _source_size(path)
    if min(size.width, size.height) < short_side:
        raise _TooSmall(
            f"{path} is {size}, smaller than the output of {short_side}p: "
            "take a smaller --output-size or another clip"
        )
    rate, frames = read_clip(path, multiple_of=MULTIPLE_OF, short_side=short_side)
    return _written(
        name,
        islice(frames, max(1, round(seconds * rate))),
        folder,
        rate=rate,
        source_sha256=source_digest(path),
    )


def _rendered(folder: Path, *, short_side: int, seconds: float) -> list[BenchClip]:
    size = Size(width=short_side * 16 // 9 // MULTIPLE_OF * MULTIPLE_OF, height=short_side)
    scene = Scene(SceneConfig(size=size, fps=float(RENDERED_FPS), duration_s=2 * seconds))
    count = scene.frame_count or 0  # both shots, one after the other
    middle = (count + 1) // 2
    return [
        _written(name, (scene.frame(i) for i in shot), folder, rate=RENDERED_FPS)
        for name, shot in zip(RENDERED, (range(middle), range(middle, count)), strict=True)
    ]


def _written(
    name: str,
    frames: Iterator[Frame],
    folder: Path,
    *,
    rate: Fraction,
    source_sha256: str | None = None,
) -> BenchClip:
    path = folder / f"{name}.y4m"
    try:
        raw = RawClip.write(path, frames, rate)
    except ValueError as error:
        raise ConfigError(f"{name} holds no picture that can be decoded") from error
    lead_in = min(round(LEAD_IN_S * rate), len(raw) - 1)
    return BenchClip(
        name=name,
        path=path,
        source_sha256=source_sha256,
        digest=source_digest(path),
        size=raw.size,
        frame_rate=rate,
        frames=len(raw),
        lead_in=lead_in,
        cuts=find_cuts(_timed(_with_lead_in(path, lead_in), rate)),
    )


def find_cuts(frames: Iterable[Frame]) -> frozenset[int]:
    """Where the sender's detector sees another shot begin."""
    detector = SceneCutDetector()
    return frozenset(index for index, frame in enumerate(frames) if detector.push(frame))


def _with_lead_in(path: Path, lead_in: int) -> Iterator[Frame]:
    first = list(islice(read_y4m(path), lead_in + 1))
    yield from reversed(first[1:])
    yield from read_y4m(path)


def _timed(frames: Iterable[Frame], rate: Fraction) -> Iterator[Frame]:
    for index, frame in enumerate(frames):
        yield frame.at(round(index * CLOCK_HZ / rate))


def _source_size(path: Path) -> Size:
    """Size of a clip as it is shown, before anything is scaled."""
    first = path if path.is_file() else min(p for p in path.iterdir() if p.is_file())
    try:
        with av.open(f"file:{first}") as container:
            codec = container.streams.video[0].codec_context
            return Size(width=codec.width, height=codec.height)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise ConfigError(f"{path} is not a video that can be read") from error


def source_digest(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder in the order of their names."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file()):
        with file.open("rb") as content:
            while block := content.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()
