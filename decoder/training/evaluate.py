"""Measures models as the product runs them: coded by the sender, restored by the Restorer.

Every clip is its own reference. It is shrunk and coded at each rung by the sender's tool, decoded,
and restored by each model, and by Lanczos and bicubic, which is what a model has to beat.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from decoder.artefact import Artefact, find_artefact
from decoder.model_choice import LANCZOS
from decoder.training.clip_measurement import BICUBIC, ClipMeasurement
from decoder.training.clip_reader import find_clips, read_clip
from decoder.training.config import DEFAULT_FRAMES, EvalConfig
from decoder.training.ffmpeg_comparison import find_ffmpeg
from decoder.training.measurement_cache import MeasurementCache
from decoder.training.picture_quality import Quality
from decoder.training.raw_clip import RawClip
from decoder.training.sent_clip import SentRung, coded_bytes
from stream.errors import ConfigError
from stream.frame import Size

Report = Callable[[int, int], None]
"""Called with how many measurements are done, of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One model on one clip at one rung.

    model, version: as its manifest says; model_path: as it was asked for; backend: what ran it.
    target_bps: what the encoder was told; coded_bps: what it made, without any transport.
    crops: file of the places where the model changes most, see `decoder.training.changes`.
    """

    clip: str
    model: str
    model_path: str
    version: str
    backend: str
    codec: str
    hr_size: Size
    lr_size: Size
    frames: int
    target_bps: int
    coded_bps: int
    lanczos: Quality
    bicubic: Quality
    restored: Quality
    crops: Path

    def gain(self, metric: str) -> float | None:
        """By how much the model beats Lanczos; None when the metric was not measured."""
        restored, lanczos = getattr(self.restored, metric), getattr(self.lanczos, metric)
        return None if restored is None or lanczos is None else restored - lanczos


def evaluate(config: EvalConfig, report: Report = lambda done, total: None) -> Iterator[Score]:
    """Measure every model on every clip by every codec at every bitrate, clip by clip.

    What the cache holds is not measured again. Raises ConfigError for clips, models and sizes that
    cannot be used, CodecError when coding fails, and InferenceFailed when a model fails on a frame:
    its picture would be Lanczos's.
    """
    artefacts = {name: find_artefact(name) for name in config.models}
    clips = find_clips(config.clips)
    if config.vmaf:
        try:
            find_ffmpeg("libvmaf")
        except ConfigError as error:
            raise ConfigError(f"{error}, or evaluate with --no-vmaf") from error
    cache = MeasurementCache(config.cache)
    scales = {artefact.manifest.scale for artefact in artefacts.values()}
    sizes = 1 if config.lr_size else len(scales)
    rungs = len(config.codecs) * len(config.bitrates_bps)
    total, done = len(clips) * rungs * (2 * sizes + len(artefacts)), 0

    def step() -> None:
        nonlocal done
        done += 1
        report(done, total)

    report(done, total)
    for path in clips:
        with TemporaryDirectory(prefix="edvr-eval-") as scratch:
            hr = _original(path, artefacts, config, Path(scratch))
            yield from _scores_of(path, hr, artefacts, config, cache, step)


def _scores_of(
    path: Path,
    hr: RawClip,
    artefacts: dict[str, Artefact],
    config: EvalConfig,
    cache: MeasurementCache,
    step: Callable[[], None],
) -> Iterator[Score]:
    lr_sizes = {name: _lr_size(hr.size, found, config) for name, found in artefacts.items()}
    rungs = [
        SentRung(size=size, bitrate_bps=rate, codec=codec)
        for size in dict.fromkeys(lr_sizes.values())
        for codec in config.codecs
        for rate in config.bitrates_bps
    ]
    clip = ClipMeasurement(hr, cache, vmaf=config.vmaf)
    files = clip.code(rungs)
    for rung in rungs:
        classical = {}
        for name in (LANCZOS, BICUBIC):
            classical[name] = clip.measure(files[rung], rung, name).quality
            step()
        for name, artefact in artefacts.items():
            if lr_sizes[name] != rung.size:
                continue
            found = clip.measure(files[rung], rung, name, artefact, config.backend)
            step()
            yield Score(
                clip=path.stem if path.is_file() else path.name,
                model=artefact.manifest.name,
                model_path=name,
                version=artefact.manifest.version,
                backend=found.backend,
                codec=rung.codec,
                hr_size=hr.size,
                lr_size=rung.size,
                frames=len(hr),
                target_bps=rung.bitrate_bps,
                coded_bps=round(8 * coded_bytes(files[rung]) * hr.frame_rate / len(hr)),
                lanczos=classical[LANCZOS],
                bicubic=classical[BICUBIC],
                restored=found.quality,
                crops=found.crops,
            )


def _original(
    path: Path, artefacts: dict[str, Artefact], config: EvalConfig, scratch: Path
) -> RawClip:
    """The part of a clip that is measured, cropped so that every model's scale divides it."""
    scales = [2 * artefact.manifest.scale for artefact in artefacts.values()]
    rate, frames = read_clip(path, multiple_of=math.lcm(*scales))
    count = DEFAULT_FRAMES if config.seconds is None else max(1, round(config.seconds * rate))
    try:
        return RawClip.write(scratch / "original.y4m", islice(frames, count), rate)
    except ValueError as error:
        raise ConfigError(f"{path} holds no picture that can be decoded") from error


def _lr_size(hr_size: Size, artefact: Artefact, config: EvalConfig) -> Size:
    scale = artefact.manifest.scale
    size = config.lr_size or Size(width=hr_size.width // scale, height=hr_size.height // scale)
    if size.fit_inside(hr_size) != hr_size:
        raise ConfigError(f"--lr-size {size} does not have the shape of a clip of {hr_size}")
    return size
