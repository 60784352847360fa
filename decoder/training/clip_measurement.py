"""One clip: coded at rungs, restored, and measured, each as far as the cache does not have it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from decoder.artefact import Artefact
from decoder.backends.contract import BackendName
from decoder.config import RestorerConfig
from decoder.lanczos import LanczosScaler
from decoder.model_choice import LANCZOS
from decoder.restorer import Restorer
from decoder.training.bicubic import BicubicScaler
from decoder.training.changes import ChangeFinder, pack_crops, unpack_crops
from decoder.training.ffmpeg_comparison import judge_version
from decoder.training.machine import cpu_name
from decoder.training.measurement_cache import MeasurementCache, code_digest, file_digest
from decoder.training.picture_quality import Quality, QualityMeter
from decoder.training.raw_clip import RawClip
from decoder.training.sent_clip import CODED_SUFFIXES, SentRung, code_as_sent, decoded_frames
from stream.errors import InferenceFailed
from stream.frame import Frame

BICUBIC = "bicubic"

_CODED_BY = (
    *("encoder/*encode*.py", "encoder/*quantiser*.py", "encoder/svt_av1.py"),
    *("encoder/downscale.py", "stream/scene_cut.py"),
)
_RESTORED_BY = (
    *("decoder/restorer.py", "decoder/window.py", "decoder/lanczos.py", "decoder/edge_padding.py"),
    *("decoder/backends/*.py", "stream/*quantiser*.py", "stream/video_decode.py"),
    "stream/scene_cut.py",
)
_MEASURED_BY = tuple(
    f"decoder/training/{name}.py"
    for name in (
        "clip_measurement",
        "metrics",
        "picture_quality",
        "ffmpeg_comparison",
        "vmaf_judge",
        "changes",
    )
)
_LIBRARIES = ("av", "numpy", "onnxruntime", "openvino")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Quality of a restored clip, what restored it, and the file of its crops (models only)."""

    quality: Quality
    backend: str
    crops: Path


class ClipMeasurement:
    """Codes, restores and measures a clip."""

    def __init__(self, hr: RawClip, cache: MeasurementCache, *, vmaf: bool) -> None:
        self._hr, self._cache, self._vmaf = hr, cache, vmaf

    def code(self, rungs: list[SentRung]) -> dict[SentRung, Path]:
        """The coded file of each rung, by the sender's tool. Raises CodecError when it refuses."""
        files = {rung: self._coded_before(rung) for rung in rungs}
        missing = [rung for rung, path in files.items() if path is None]
        made = code_as_sent(self._hr.path, missing, self._hr.path.parent) if missing else {}
        for rung, path in made.items():
            kept = self._cache.path(self._coding(rung), path.suffix)
            self._cache.write(kept, path.read_bytes())
            files[rung] = kept
        return {rung: path for rung, path in files.items() if path is not None}

    def measure(
        self,
        coded: Path,
        rung: SentRung,
        name: str,
        artefact: Artefact | None = None,
        backend: BackendName = "auto",
    ) -> Measured:
        """The clip after LANCZOS, BICUBIC or the model `artefact`, which is called `name`.

        Raises CodecError when frames are lost, InferenceFailed when a model fails on a frame.
        """
        parts: dict[str, Any] = {  # Any: JSON values
            "clip": self._digest,
            "coded": file_digest(coded),
            "by": dict(artefact.manifest.sha256) if artefact else name,
            "backend": [backend, cpu_name()] if artefact else None,
            "judge": judge_version() if self._vmaf else None,
            "code": [code_digest(_RESTORED_BY), code_digest(_MEASURED_BY)],
            "libraries": [metadata.version(library) for library in _LIBRARIES],
        }
        kept, crops = (self._cache.path(parts, suffix) for suffix in (".json", ".npz"))
        found = _kept(kept, crops)
        if found is None:
            quality, used, changes = self._restore(coded, rung, name, artefact, backend)
            self._cache.write(crops, pack_crops(changes.crops))
            content = {"quality": asdict(quality), "backend": used}
            self._cache.write(kept, json.dumps(content).encode())
            found = Measured(quality=quality, backend=used, crops=crops)
        return found

    def _restore(
        self,
        coded: Path,
        rung: SentRung,
        name: str,
        artefact: Artefact | None,
        backend: BackendName,
    ) -> tuple[Quality, str, ChangeFinder]:
        changes = ChangeFinder(first=len(self._hr) // 3)
        lanczos = LanczosScaler(self._hr.size)
        with QualityMeter(self._hr, vmaf=self._vmaf) as meter:
            frames = decoded_frames(coded, rung.codec)
            if artefact is None:
                scaler = lanczos if name == LANCZOS else BicubicScaler(self._hr.size)
                for frame in frames:
                    meter.push(scaler.scale(frame))
                return meter.quality(), "none", changes
            restorer = Restorer(RestorerConfig(size=self._hr.size, model=name, backend=backend))
            waiting: dict[int, Frame] = {}
            try:
                for restored in _restored(restorer, frames, waiting):
                    meter.push(restored)
                    small = waiting.pop(restored.pts)
                    original = self._hr.frame(restored.pts)
                    changes.push(restored.pts, lanczos.scale(small), restored, original)
                if restorer.counts.failed:
                    raise InferenceFailed(f"{name} failed on {restorer.counts.failed} frames")
                used = restorer.backend_name or "none"
            finally:
                restorer.close()
            return meter.quality(), used, changes

    @cached_property
    def _digest(self) -> str:
        return file_digest(self._hr.path)

    def _coding(self, rung: SentRung) -> dict[str, Any]:  # Any: JSON values
        return {
            "clip": self._digest,
            "rung": str(rung),
            "codec": rung.codec,
            "code": code_digest(_CODED_BY),
            "av": metadata.version("av"),
        }

    def _coded_before(self, rung: SentRung) -> Path | None:
        paths = (self._cache.path(self._coding(rung), suffix) for suffix in CODED_SUFFIXES)
        return next((path for path in paths if path.is_file()), None)


def _restored(
    restorer: Restorer, frames: Iterator[Frame], waiting: dict[int, Frame]
) -> Iterator[Frame]:
    """Restored frames; what went in waits, by pts, until it is taken out."""
    for frame in frames:
        waiting[frame.pts] = frame
        yield from restorer.push(frame)
    yield from restorer.flush()


def _kept(path: Path, crops: Path) -> Measured | None:
    """What was measured before, if it is there and whole."""
    try:
        content = json.loads(path.read_bytes())
        unpack_crops(crops.read_bytes())
        quality = Quality(**content["quality"])
        return Measured(quality=quality, backend=str(content["backend"]), crops=crops)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None
