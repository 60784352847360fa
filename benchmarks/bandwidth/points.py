"""Points of rate-quality curves: a coded clip, as it is or restored, and judged."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from itertools import islice
from typing import Any, Literal

from benchmarks.bandwidth.clips import BenchClip
from benchmarks.bandwidth.coding import CodedClip, code_clip, coding_key, decoded
from benchmarks.bandwidth.codings import Coding
from benchmarks.bandwidth.crops import CropPlace, picture_file
from benchmarks.bandwidth.judge import judge
from benchmarks.bandwidth.store import Store, code_digest, key_of
from decoder.adapted_artefact import AdaptedWeights
from decoder.artefact import MANIFEST_FILE, Artefact
from decoder.backends.contract import BackendName
from decoder.config import RestorerConfig
from decoder.model_choice import LANCZOS
from decoder.restorer import Restorer
from decoder.training.ffmpeg_comparison import judge_version
from stream.errors import InferenceFailed
from stream.frame import Frame, Size

Kind = Literal["direct", "lanczos", "restored", "adapted"]

RESTORING_SOURCES = (
    "decoder/backends/*.py",
    "decoder/adapted_artefact.py",
    "decoder/edge_padding.py",
    "decoder/lanczos.py",
    "decoder/restorer.py",
    "decoder/window.py",
    "stream/*quantiser*.py",
    "stream/scene_cut.py",
    "stream/video_decode.py",
)
LIBRARIES = ("av", "numpy", "onnxruntime", "openvino")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProfiledArtefact(Artefact):
    """A model as its folder has it, and the weights of a profile to restore with in place of it."""

    weights: AdaptedWeights


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point. size: of what travelled; rung: its height, as 360p. model: None without one.

    coded_bps: access units alone; wire_bps: in RTP packets. quality: by name (`judge.METRICS`).
    crop: under which name the store has its part of the picture.
    """

    clip: str
    kind: Kind
    coding: str
    size: str
    rung: str
    model: str | None
    target_bps: int
    coded_bps: int
    wire_bps: int
    frames: int
    keyframes: int
    quality: dict[str, float]
    crop: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON. Any: numbers and texts."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A clip coded once, and all that is made of it. models: None stands for no network."""

    clip: BenchClip
    place: CropPlace
    coding: Coding
    size: Size
    target_bps: int
    models: tuple[Artefact | None, ...]

    @property
    def cost(self) -> float:
        """Roughly how long it takes, in seconds of one core: for the progress bar."""
        output = self.clip.size.width * self.clip.size.height
        sent = self.size.width * self.size.height
        judging = 50e-9 * output * len(self.models)
        restoring = sum(
            8e-9 * sent * (model.manifest.scale**2 + 12) for model in self.models if model
        )
        coded = self.clip.frames + self.clip.lead_in
        return self.clip.frames * (judging + restoring) + coded * 15e-9 * sent


class Stopped(Exception):
    """Somebody asked to stop."""


class PointMaker:
    """Makes the points of tasks, on any number of threads; restorers are kept open by thread."""

    def __init__(self, store: Store, *, backend: BackendName, threads: int) -> None:
        """threads: of one network; 0 = one per core."""
        self._store, self._backend, self._threads = store, backend, threads
        self._local = threading.local()
        self._opened: list[Restorer] = []
        self._stop = threading.Event()
        self._restoring_code = code_digest(RESTORING_SOURCES)

    def kept(self, task: Task) -> list[Point | None]:
        """The points of a task that are in the store, None for each that is not."""
        content = self._store.read(_key_of_coding(task), ".coded")
        if content is None:
            return [None] * len(task.models)
        coded = CodedClip.from_bytes(content)
        keys = [self._key(task, coded, model) for model in task.models]
        found = [self._store.read_json(key) for key in keys]
        return [
            None if each is None else _point(task, coded, model, key, each["quality"])
            for model, key, each in zip(task.models, keys, found, strict=True)
        ]

    def make(self, task: Task) -> list[Point]:
        """Measure what is not in the store. Raises what coding, restoring and judging raise."""
        coded = code_clip(
            task.clip,
            task.coding,
            size=task.size,
            target_bps=task.target_bps,
            store=self._store,
            check=self._check,
        )
        return [self._point(task, coded, model) for model in task.models]

    def stop(self) -> None:
        """Let every `make` that runs raise `Stopped` at its next frame."""
        self._stop.set()

    def close(self) -> None:
        """Free the networks; only when no `make` runs."""
        for restorer in self._opened:
            restorer.close()
        self._opened.clear()

    def _point(self, task: Task, coded: CodedClip, model: Artefact | None) -> Point:
        key = self._key(task, coded, model)
        kept = self._store.read_json(key)
        if kept is not None:
            return _point(task, coded, model, key, kept["quality"])

        def watch(index: int, frame: Frame) -> None:
            self._check()
            if index == task.place.index:
                self._store.write(key, ".webp", picture_file(task.place.cut(frame)))

        quality = judge(self._pictures(task, coded, model), task.clip, watch=watch).as_dict()
        self._store.write_json(key, {"quality": quality})
        return _point(task, coded, model, key, quality)

    def _pictures(self, task: Task, coded: CodedClip, model: Artefact | None) -> Iterator[Frame]:
        """What a viewer sees, without the lead-in."""
        if not task.coding.is_small:
            yield from islice(decoded(coded), coded.lead_in, None)
            return
        restorer = self._restorer(task.clip.size, model)
        before = restorer.counts
        # Of the lead-in only what can be in a window with what is judged.
        skipped = max(0, coded.lead_in - (model.manifest.window if model else 0))
        yield from islice(
            _restored(restorer, islice(decoded(coded), skipped, None)),
            coded.lead_in - skipped,
            None,
        )
        after = restorer.counts
        failed = after.failed - before.failed
        if failed or (model and after.restored - before.restored != len(coded.units) - skipped):
            raise InferenceFailed(f"{restorer.model_name} failed on {failed} frames")

    def _restorer(self, size: Size, model: Artefact | None) -> Restorer:
        """One for this thread, output size and model; a new clip is to it a new scene."""
        restorers: dict[tuple[Size, str, str], Restorer] = self._local.__dict__.setdefault(
            "open", {}
        )
        name = LANCZOS if model is None else str(model.folder)
        weights = model.weights if isinstance(model, ProfiledArtefact) else None
        key = (size, name, weights.digest if weights else "")
        if key not in restorers:
            config = RestorerConfig(
                size=size, model=name, backend=self._backend, threads=self._threads
            )
            restorers[key] = Restorer(config, weights=weights)
            self._opened.append(restorers[key])
        return restorers[key]

    def _key(self, task: Task, coded: CodedClip, model: Artefact | None) -> str:
        restoring: dict[str, Any] = {}
        if task.coding.is_small:
            restoring["code"] = self._restoring_code
        if model is not None:
            restoring["model"] = model_digest(model)
            if isinstance(model, ProfiledArtefact):
                restoring["weights"] = model.weights.digest
            restoring["backend"] = self._backend
            restoring["libraries"] = {name: metadata.version(name) for name in LIBRARIES}
        return key_of(
            {
                "original": task.clip.digest,
                "name": task.clip.name,
                "place": str(task.place),
                "coding": task.coding.name,
                "target_bps": task.target_bps,
                "coded": coded.digest,
                "size": str(task.size),
                "restoring": restoring,
                "judge": judge_version(),
            }
        )

    def _check(self) -> None:
        if self._stop.is_set():
            raise Stopped


def _point(
    task: Task, coded: CodedClip, model: Artefact | None, crop: str, quality: dict[str, float]
) -> Point:
    return Point(
        clip=task.clip.name,
        kind=_kind(task, model),
        coding=task.coding.name,
        size=str(task.size),
        rung=f"{min(task.size.width, task.size.height)}p",
        model=None if model is None else model.manifest.name,
        target_bps=task.target_bps,
        coded_bps=round(coded.coded_bps),
        wire_bps=round(coded.wire_bps),
        frames=len(coded.units) - coded.lead_in,
        keyframes=sum(index >= coded.lead_in for index in coded.keyframes),
        quality=quality,
        crop=crop,
    )


def _kind(task: Task, model: Artefact | None) -> Kind:
    if not task.coding.is_small:
        return "direct"
    if model is None:
        return "lanczos"
    return "adapted" if isinstance(model, ProfiledArtefact) else "restored"


def _restored(restorer: Restorer, frames: Iterable[Frame]) -> Iterator[Frame]:
    for frame in frames:
        yield from restorer.push(frame)
    yield from restorer.flush()


def model_digest(model: Artefact) -> str:
    """SHA-256 of a model's description, which has the SHA-256 of each of its files."""
    return hashlib.sha256((model.folder / MANIFEST_FILE).read_bytes()).hexdigest()


def _key_of_coding(task: Task) -> str:
    return coding_key(task.clip, task.coding, task.size, task.target_bps)
