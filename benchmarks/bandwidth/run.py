"""From a config to the results: plans the points, measures what is missing, sums them up."""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

from benchmarks.bandwidth.adaptation import profile_figures, use_profile
from benchmarks.bandwidth.clips import BenchClip, prepare_clips
from benchmarks.bandwidth.coding import code_clip, frames_per_second, written_options
from benchmarks.bandwidth.codings import DIRECT_CODINGS, OPTIONAL_CODING, Coding, small_coding
from benchmarks.bandwidth.config import BandwidthConfig
from benchmarks.bandwidth.crops import CropPlace, picture_file, place_in
from benchmarks.bandwidth.judge import ffmpeg_that_judges
from benchmarks.bandwidth.models import chosen_models, models_for
from benchmarks.bandwidth.points import Point, PointMaker, ProfiledArtefact, Task, model_digest
from benchmarks.bandwidth.store import Store, key_of
from benchmarks.bandwidth.summary import summarise
from decoder.artefact import Artefact
from decoder.training.ffmpeg_comparison import judge_version
from stream.errors import ConfigError
from stream.frame import Size

log = logging.getLogger(__name__)

LIBRARIES = ("bjontegaard", "imageio_ffmpeg", "plotly")
"""What the extra `bench` brings."""

TRIALS, TRIAL_FRAMES = 3, 50
"""An encoder's speed is the best of so many trials of so many frames: what else runs can only make
one slower, and must not decide whether an encoder keeps real time."""


class Progress(Protocol):
    """Is told how far it is."""

    def say(self, text: str) -> None:
        """What is being done."""

    def start(self, *, total: float, kept: int, missing: int) -> None:
        """Work in all, in any unit, and how many points are there already or not."""

    def advance(self, work: float) -> None:
        """So much more is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    clips: list[BenchClip]
    models: list[Artefact]
    codings: list[Coding]
    speeds: dict[str, float]
    tasks: list[Task]


def run_bandwidth(config: BandwidthConfig, progress: Progress) -> dict[str, Any]:
    """Measure all points and return the results, for JSON; the store is in the output folder.

    Raises ConfigError for clips, models and settings that cannot be used, CodecError and
    BackendError when something fails while measuring, OSError when the folder cannot be written.
    """
    check_libraries()
    ffmpeg_that_judges()
    models = chosen_models(config.models, backend=config.backend)
    used = None if config.adapt is None else use_profile(config.adapt)
    store = Store(config.out / "store")
    progress.say("preparing clips")
    raw = config.out / "clips"
    try:
        clips = prepare_clips(
            config.clips, raw, short_side=config.output_size, seconds=config.seconds
        )
        everything = models if used is None else [*models, used.artefact]
        plan = _plan(config, clips, everything, store, progress)
        points = _measure(config, plan, store, progress)
    finally:
        for path in raw.glob("*.y4m"):  # large, and made again in seconds
            path.unlink()
    results = _results(config, plan, points, store)
    if used is not None:
        names = [clip.name for clip in plan.clips]
        results["profile"] = profile_figures(used, points, clips=names)
    return results


def check_libraries(names: tuple[str, ...] = LIBRARIES) -> None:
    """Raises ConfigError, before hours are spent, when something that is needed is missing."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{' and '.join(missing)} must be installed: pip install 'edvr-live[bench]'"
        )


def rung_sizes(output: Size, shares: tuple[float, ...]) -> list[Size]:
    """Sizes of the small pictures: the output's sides times each share, even.

    Raises ConfigError when one would not be enlarged to exactly the output.
    """
    sizes = []
    for share in shares:
        size = Size(width=round(output.width * share), height=round(output.height * share))
        if not size.is_even or size.fit_inside(output) != output:
            raise ConfigError(f"{output} has no small picture of {share:g} of its sides")
        sizes.append(size)
    return sizes


def _plan(
    config: BandwidthConfig,
    clips: list[BenchClip],
    models: list[Artefact],
    store: Store,
    progress: Progress,
) -> _Plan:
    progress.say("timing encoders")
    wanted = [coding for coding in DIRECT_CODINGS if coding.name in config.direct_codings]
    rate = sorted(config.direct_bitrates)[len(config.direct_bitrates) // 2]
    speeds = {
        coding.name: _speed(clips[0], coding, target_bps=rate, store=store) for coding in wanted
    }
    direct = [
        coding
        for coding in wanted
        if coding.name != OPTIONAL_CODING or speeds[coding.name] >= clips[0].frame_rate
    ]
    small = [small_coding(name) for name in config.codecs]
    tasks = [
        task
        for clip in clips
        for task in _tasks(config, clip, place_in(clip), direct, small, models)
    ]
    return _Plan(clips=clips, models=models, codings=direct + small, speeds=speeds, tasks=tasks)


def _tasks(
    config: BandwidthConfig,
    clip: BenchClip,
    place: CropPlace,
    direct: list[Coding],
    small: list[Coding],
    models: list[Artefact],
) -> Iterator[Task]:
    for coding in direct:
        for rate in config.direct_bitrates:
            yield Task(
                clip=clip,
                place=place,
                coding=coding,
                size=clip.size,
                target_bps=rate,
                models=(None,),
            )
    for size in rung_sizes(clip.size, config.rungs):
        for coding in small:
            for rate in config.bitrates:
                yield Task(
                    clip=clip,
                    place=place,
                    coding=coding,
                    size=size,
                    target_bps=rate,
                    models=(None, *models_for(models, lr_size=size, hr_size=clip.size)),
                )


def _measure(config: BandwidthConfig, plan: _Plan, store: Store, progress: Progress) -> list[Point]:
    jobs = config.job_count
    maker = PointMaker(store, backend=config.backend, threads=1 if jobs > 1 else 0)
    kept = [maker.kept(task) for task in plan.tasks]
    done = {
        index: [point for point in points if point is not None]
        for index, points in enumerate(kept)
        if None not in points
    }
    missing = [index for index in range(len(plan.tasks)) if index not in done]
    for clip in plan.clips:
        _keep_original(clip, store)
    flat = [point for points in kept for point in points]
    progress.start(
        total=sum(plan.tasks[index].cost for index in missing),
        kept=len(flat) - flat.count(None),
        missing=flat.count(None),
    )
    futures: dict[Future[list[Point]], int] = {}
    with ThreadPoolExecutor(jobs, thread_name_prefix="point") as pool:
        try:
            futures = {pool.submit(maker.make, plan.tasks[index]): index for index in missing}
            waiting = set(futures)
            while waiting:
                ready, waiting = wait(waiting, timeout=0.5, return_when=FIRST_EXCEPTION)
                ready |= {future for future in waiting if future.done()}
                waiting -= ready
                for future in ready:
                    done[futures[future]] = future.result()
                    progress.advance(plan.tasks[futures[future]].cost)
        except BaseException:  # Ctrl-C too: what was finished is kept
            maker.stop()
            pool.shutdown(cancel_futures=True)
            raise
    maker.close()
    return [point for index in sorted(done) for point in done[index]]


def _speed(clip: BenchClip, coding: Coding, *, target_bps: int, store: Store) -> float:
    """Frames a second at best, measured once for this machine."""
    parts = {"speed of": coding.name, "settings": coding.settings, "size": str(clip.size)}
    key = key_of({**parts, "clip": clip.digest, "rate": target_bps, "machine": platform.node()})
    kept = store.read_json(key)
    if kept is None:
        fps = max(
            frames_per_second(clip, coding, target_bps=target_bps, frames=TRIAL_FRAMES)
            for _ in range(TRIALS)
        )
        kept = {"fps": round(fps, 1)}
        store.write_json(key, kept)
    return float(kept["fps"])


def original_key(clip: str, digest: str) -> str:
    """Under which name the store has the original's part of the picture."""
    return key_of({"original": clip, "digest": digest})


def _keep_original(clip: BenchClip, store: Store) -> None:
    place = place_in(clip)
    frame = next(frame for index, frame in enumerate(clip.read()) if index == place.index)
    store.write(original_key(clip.name, clip.digest), ".webp", picture_file(place.cut(frame)))


def _options(plan: _Plan, coding: Coding, store: Store) -> dict[str, Any] | None:
    """What the bits themselves say about an encoder's settings, at one size and rate."""
    tasks = [task for task in plan.tasks if task.coding == coding]
    task = tasks[len(tasks) // 2]
    coded = code_clip(
        task.clip, coding, size=task.size, target_bps=task.target_bps, store=store
    )  # from the store
    text = written_options(coded)
    if text is None:
        return None
    return {"size": str(task.size), "target_bps": task.target_bps, "text": text}


def _results(
    config: BandwidthConfig, plan: _Plan, points: list[Point], store: Store
) -> dict[str, Any]:
    return {
        "settings": {
            "output_size": f"{config.output_size}p",
            "seconds": config.seconds,
            "bitrates": list(config.bitrates),
            "direct_bitrates": list(config.direct_bitrates),
            "backend": config.backend,
            "judge": judge_version(),
            "is_quick": config.quick,
        },
        "clips": [
            {
                "name": clip.name,
                "source_sha256": clip.source_sha256,
                "raw_sha256": clip.digest,
                "size": str(clip.size),
                "frame_rate": round(float(clip.frame_rate), 3),
                "frames": clip.frames,
                "lead_in": clip.lead_in,
                "cuts": sorted(cut - clip.lead_in for cut in clip.cuts if cut >= clip.lead_in),
            }
            for clip in plan.clips
        ],
        "codings": [
            {
                "name": coding.name,
                "settings": coding.settings,
                "is_small": coding.is_small,
                "options": _options(plan, coding, store),
            }
            for coding in plan.codings
        ],
        "direct_fps": plan.speeds,
        "models": [
            {
                "name": model.manifest.name,
                "version": model.manifest.version,
                "scale": model.manifest.scale,
                "sha256": model_digest(model),
                "trained_on": model.manifest.trained_on,
            }
            for model in plan.models
            if not isinstance(model, ProfiledArtefact)
        ],
        "points": [point.as_dict() for point in points],
        "summary": summarise(points, clips=[clip.name for clip in plan.clips]),
    }
