"""Changing the tier within a stream: on small networks of known result, and the shipped ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from decoder import network_shelf
from decoder.artefact import Artefact, list_artefacts
from decoder.config import RestorerConfig
from decoder.lanczos import LanczosScaler
from decoder.pipeline import Pipeline
from decoder.pipeline_counts import PipelineCounts
from decoder.restorer import Restorer
from encoder.scene import Scene, SceneConfig
from stream.buffer import LatestBuffer
from stream.errors import EdvrError
from stream.frame import CLOCK_HZ, Frame, Size
from tests.busy_neighbours import busy_neighbours
from tests.pipeline_rig import Publisher, wait_until
from tests.tiny_artefact import expected_planes, textured_frame, write_tiny_artefact

STEP = CLOCK_HZ // 25
HR = Size(width=64, height=48)
CONFIG = RestorerConfig(size=HR, backend="onnxruntime", threads=1)


@pytest.fixture
def restorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Restorer]:
    for tier in ("live-s", "live-xs"):
        write_tiny_artefact(tmp_path / f"{tier}-x2", tier=tier)
    monkeypatch.setattr(network_shelf, "list_artefacts", lambda: list_artefacts(tmp_path))
    monkeypatch.setattr("decoder.model_choice.DEFAULT_TIER", "live-s")
    restorer = Restorer(CONFIG)
    yield restorer
    restorer.close()


def _stream(count: int) -> list[Frame]:
    return [textured_frame(i, width=32, height=24, pts=i * STEP) for i in range(count)]


def _run(restorer: Restorer, frames: Sequence[Frame], changes: dict[int, int]) -> list[Frame]:
    done = []
    for number, frame in enumerate(frames):
        if number in changes:
            restorer.use_tier(changes[number])
        done += restorer.push(frame)
    return done + restorer.flush()


def test_each_tier_can_be_had_in_turn_and_no_frame_is_lost(restorer: Restorer) -> None:
    frames = _stream(30)
    done = _run(restorer, frames, {5: 1, 12: 2, 20: 0})
    assert restorer.tiers == ("live-s-x2", "live-xs-x2", "lanczos")
    assert [frame.pts for frame in done] == [frame.pts for frame in frames]
    assert restorer.counts.by_tier == {"live-s-x2": 15, "live-xs-x2": 7, "lanczos": 8}
    assert (restorer.counts.restored, restorer.counts.resized) == (22, 8)
    y, _, _ = expected_planes(frames[26:29])
    assert np.array_equal(done[27].y, y)
    assert np.array_equal(done[17].y, LanczosScaler(HR).scale(frames[17]).y)


def test_the_model_in_use_is_the_one_that_is_told(restorer: Restorer) -> None:
    _run(restorer, _stream(4), {})
    assert (restorer.model_name, restorer.backend_name) == ("live-s-x2", "onnxruntime f32")
    _run(restorer, _stream(8), {2: 2})
    assert (restorer.model_name, restorer.backend_name) == ("lanczos", None)


def test_tiers_that_wait_for_fewer_frames_than_asked_for_are_nothing_to_speak_of(
    restorer: Restorer, caplog: pytest.LogCaptureFixture
) -> None:
    restorer._config = replace(restorer._config, lookahead=2)
    _run(restorer, _stream(12), {4: 1})
    assert restorer.model_name == "live-xs-x2"
    assert "looks ahead" not in caplog.text


def test_a_change_asked_for_during_another_one_follows_it(restorer: Restorer) -> None:
    frames = _stream(16)
    done = _run(restorer, frames, {4: 2, 5: 1})
    assert [frame.pts for frame in done] == [frame.pts for frame in frames]
    assert restorer.model_name == "live-xs-x2"
    assert not restorer.is_changing_tier


def test_a_stream_of_one_colour_shows_no_flash_when_the_tier_changes(
    shipped: Artefact,
) -> None:
    """A shipped network and Lanczos agree on what has no detail, mixed or not."""
    scale = shipped.manifest.scale
    lr = Size(width=96, height=64)
    hr = Size(width=lr.width * scale, height=lr.height * scale)
    restorer = Restorer(RestorerConfig(size=hr, model=str(shipped.folder), threads=1))
    ramp = np.linspace(40, 200, lr.width).astype(np.uint8)[None].repeat(lr.height, axis=0)
    flat = np.full((lr.height // 2, lr.width // 2), 90, np.uint8)
    frames = [Frame(y=ramp, u=flat, v=flat + 70, pts=n * STEP, quantiser=30.0) for n in range(16)]
    done = _run(restorer, frames, {4: 1, 10: 0})
    restorer.close()
    assert set(restorer.counts.by_tier) == {shipped.manifest.name, "lanczos"}
    for plane in ("y", "u", "v"):
        means = [float(getattr(frame, plane).mean()) for frame in done]
        assert max(abs(b - a) for a, b in pairwise(means)) < 0.5, plane


@pytest.fixture(params=[artefact.manifest.name for artefact in list_artefacts()])
def shipped(request: pytest.FixtureRequest) -> Artefact:
    return next(each for each in list_artefacts() if each.manifest.name == request.param)


def test_with_busy_neighbours_the_tier_gives_way_before_any_frame() -> None:
    """Other processes want all cores; what even resizing is too slow for may be lost, no more."""
    lr, count = Size(width=320, height=180), 60
    config = RestorerConfig(size=Size(width=640, height=360))
    failures: list[EdvrError] = []
    is_open = threading.Event()

    def open_restorer() -> Restorer:
        restorer = Restorer(config)
        restorer.prepare(lr)
        is_open.set()
        return restorer

    pipeline = Pipeline("live", open_restorer, ("null:",), on_failure=failures.append)
    scene = Scene(SceneConfig(size=lr, duration_s=1.0))
    frames = [scene.frame(number) for number in range(13)]
    # Room for a machine that stalls for seconds, so that only what is given up would be missing.
    publisher = Publisher(video=LatestBuffer(2 * count))
    try:
        assert is_open.wait(60)
        pipeline.attach(publisher.video, publisher.audio)
        with busy_neighbours(3):
            started_s = time.monotonic()
            for number in range(count):
                time.sleep(max(0.0, started_s + 0.04 * number - time.monotonic()))
                frame = frames[abs(number % 24 - 12)].at(number * STEP)
                publisher.video.put(replace(frame, entered_ms=1000 * time.monotonic()))
            publisher.end()
        wait_until(lambda: _accounted(pipeline.counts()) >= count, timeout_s=60)
    finally:
        pipeline.close()
    counts = pipeline.counts()
    assert failures == []
    assert counts.frames_in == _accounted(counts) == count
    assert sum(counts.frames_by_tier.values()) == counts.frames_restored
    assert counts.frames_dropped == 0 or counts.frames_by_tier.get("lanczos", 0) > 0


def _accounted(counts: PipelineCounts) -> int:
    return counts.frames_restored + counts.frames_dropped
