"""Measures models as the product runs them: coded by the sender, restored by the Restorer.

Every clip is its own reference. It is shrunk and coded at each rung by the sender's tool, decoded,
and restored twice, by the model and by Lanczos, which is what a model has to beat.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from decoder.artefact import Artefact, find_artefact
from decoder.backends.contract import BackendName
from decoder.config import RestorerConfig
from decoder.model_choice import LANCZOS
from decoder.restorer import Restorer
from decoder.training.clip_reader import find_clips, read_clip
from decoder.training.config import DEFAULT_FRAMES, EvalConfig
from decoder.training.metrics import psnr_db, ssim
from decoder.training.raw_clip import RawClip
from decoder.training.sent_clip import SentRung, code_as_sent, decoded_frames
from stream.errors import CodecError, ConfigError, InferenceFailed
from stream.frame import Frame, Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Means over the frames of a clip, luma only. ssim_y: -1 to 1."""

    psnr_y_db: float
    ssim_y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One model on one clip at one rung.

    model, version: as its manifest says; model_path: as it was asked for; backend: what ran it.
    target_bps: what the encoder was told; coded_bps: what it made, without any transport.
    """

    clip: str
    model: str
    model_path: str
    version: str
    backend: str
    hr_size: Size
    lr_size: Size
    frames: int
    target_bps: int
    coded_bps: int
    lanczos: Quality
    restored: Quality

    @property
    def psnr_gain_db(self) -> float:
        """By how much the model beats Lanczos."""
        return self.restored.psnr_y_db - self.lanczos.psnr_y_db

    @property
    def ssim_gain(self) -> float:
        """By how much the model beats Lanczos."""
        return self.restored.ssim_y - self.lanczos.ssim_y


def evaluate(config: EvalConfig) -> Iterator[Score]:
    """Measure every model on every clip at every bitrate, clip by clip.

    Raises ConfigError for clips, models and sizes that cannot be used, CodecError when coding
    fails, and InferenceFailed when a model fails on a frame: its picture would be Lanczos's.
    """
    artefacts = {name: find_artefact(name) for name in config.models}
    for path in find_clips(config.clips):
        with TemporaryDirectory() as scratch:
            yield from _scores_of(path, artefacts, config, Path(scratch))


def _scores_of(
    path: Path, artefacts: dict[str, Artefact], config: EvalConfig, scratch: Path
) -> Iterator[Score]:
    hr = _original(path, artefacts, config, scratch)
    lr_sizes = {name: _lr_size(hr.size, found, config) for name, found in artefacts.items()}
    rungs = {
        (size, rate): SentRung(size=size, bitrate_bps=rate)
        for size in dict.fromkeys(lr_sizes.values())
        for rate in config.bitrates_bps
    }
    files = code_as_sent(hr.path, list(rungs.values()), scratch)
    for (size, bitrate_bps), rung in rungs.items():
        lanczos, _ = _measure(hr, files[rung], LANCZOS, "auto")
        for name, artefact in artefacts.items():
            if lr_sizes[name] != size:
                continue
            restored, backend = _measure(hr, files[rung], name, config.backend)
            yield Score(
                clip=path.stem if path.is_file() else path.name,
                model=artefact.manifest.name,
                model_path=name,
                version=artefact.manifest.version,
                backend=backend or "none",
                hr_size=hr.size,
                lr_size=size,
                frames=len(hr),
                target_bps=bitrate_bps,
                coded_bps=round(8 * files[rung].stat().st_size * hr.frame_rate / len(hr)),
                lanczos=lanczos,
                restored=restored,
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


def _measure(
    hr: RawClip, coded: Path, model: str, backend: BackendName
) -> tuple[Quality, str | None]:
    """Quality of a coded clip after restoration, and the backend that restored it."""
    restorer = Restorer(RestorerConfig(size=hr.size, model=model, backend=backend))
    psnrs_db: list[float] = []
    ssims: list[float] = []
    try:
        for frame in _restored(restorer, coded):
            if len(psnrs_db) >= len(hr):
                raise CodecError(f"more than the {len(hr)} frames of {coded.name} came back")
            original = hr.luma(len(psnrs_db))
            psnrs_db.append(psnr_db(frame.y, original))
            ssims.append(ssim(frame.y, original))
        if len(psnrs_db) != len(hr):
            raise CodecError(f"{len(psnrs_db)} of {len(hr)} frames of {coded.name} came back")
        if restorer.counts.failed:
            raise InferenceFailed(f"{model} failed on {restorer.counts.failed} frames")
        used = restorer.backend_name
    finally:
        restorer.close()
    count = len(hr)
    return Quality(psnr_y_db=sum(psnrs_db) / count, ssim_y=sum(ssims) / count), used


def _restored(restorer: Restorer, coded: Path) -> Iterator[Frame]:
    for frame in decoded_frames(coded):
        yield from restorer.push(frame)
    yield from restorer.flush()
