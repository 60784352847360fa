"""Other weights within a stream: between two frames, without losing one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from decoder import network_shelf
from decoder.adapted_artefact import AdaptedWeights, adaptable_shapes
from decoder.artefact import Artefact, list_artefacts
from decoder.artefact_reference import Planes
from decoder.backends import open_backend
from decoder.backends.engine_pool import EnginePool
from decoder.config import RestorerConfig
from decoder.restorer import Restorer
from decoder.tier_switch import FADE_FRAMES
from decoder.weight_profile import profile_weights
from stream.errors import DeltaRefused
from stream.frame import CLOCK_HZ, Frame, Size
from stream.profile_file import decode_profile
from tests.profiles import profile_for
from tests.tiny_artefact import LIFT, MEAN, expected_planes, textured_frame, write_tiny_artefact

STEP = CLOCK_HZ // 25
LR = Size(width=32, height=24)
CONFIG = RestorerConfig(size=Size(width=64, height=48), backend="onnxruntime", threads=1)
LIMIT_S = 60.0
ADAPTED = (0.15625, 0.65625, 0.28125)
"""Of the tiny network when all its weights grow by 1/32."""


@pytest.fixture
def tiny(tmp_path: Path) -> Artefact:
    return write_tiny_artefact(tmp_path / "tiny-x2")


@pytest.fixture
def restorer(tiny: Artefact) -> Iterator[Restorer]:
    restorer = Restorer(replace(CONFIG, model=str(tiny.folder)))
    yield restorer
    restorer.close()


def weights_of(
    artefact: Artefact, *, scale: float = 0.03125, seed: int | None = None, pts: int | None = None
) -> AdaptedWeights:
    profile = decode_profile(profile_for(artefact, scale=scale, seed=seed))
    return replace(profile_weights(profile, adaptable_shapes(artefact)), valid_from_pts=pts)


def frame_of(number: int) -> Frame:
    return textured_frame(number, width=LR.width, height=LR.height, pts=number * STEP)


def expected(number: int, weights: tuple[float, ...]) -> Planes:
    return expected_planes([frame_of(number + i) for i in (-1, 0, 1)], weights=weights)


class Stream:
    """Pushes frames one after another and keeps what comes out."""

    def __init__(self, restorer: Restorer) -> None:
        self.restorer = restorer
        self.done: list[Frame] = []
        self.pushed = 0

    def push(self, count: int) -> None:
        for _ in range(count):
            self.done += self.restorer.push(frame_of(self.pushed))
            self.pushed += 1

    def push_until_adapted(self, name: str = "profile a test") -> int:
        """Number of the first frame that was pushed with these weights."""
        deadline_s = time.monotonic() + LIMIT_S
        while self.restorer.weights_name != name:
            assert time.monotonic() < deadline_s, "the weights were never used"
            self.push(1)
            time.sleep(0.002)
        return self.pushed - 1

    def finish(self) -> None:
        self.done += self.restorer.flush()
        assert [frame.pts for frame in self.done] == [n * STEP for n in range(self.pushed)]


def test_weights_change_between_two_frames_and_every_frame_comes_out(
    restorer: Restorer, tiny: Artefact
) -> None:
    stream = Stream(restorer)
    stream.push(5)
    names = [restorer.weights_name]
    assert names == [None]
    restorer.adapt(weights_of(tiny))
    first = stream.push_until_adapted()
    stream.push(10)
    stream.finish()
    assert restorer.weights_name == "profile a test"
    assert restorer.model_name == "tiny-x2"
    assert restorer.counts.restored == stream.pushed
    for number in range(1, first - 1):  # its future frame, too, was seen by the old weights
        assert np.array_equal(stream.done[number].y, expected(number, (0.125, 0.625, 0.25))[0])
    for number in range(first + FADE_FRAMES, stream.pushed - 1):
        off = stream.done[number].y.astype(int) - expected(number, ADAPTED)[0]
        assert np.abs(off).max() <= 1
    old = [float(frame.y.mean()) for frame in stream.done]
    assert max(b - a for a, b in pairwise(old)) < (old[-2] - old[2]) / 2  # it fades, in steps


def test_they_wait_for_the_frame_that_they_are_meant_for(
    restorer: Restorer, tiny: Artefact
) -> None:
    stream = Stream(restorer)
    stream.push(5)
    restorer.adapt(weights_of(tiny, pts=700 * STEP))
    first = stream.push_until_adapted()
    assert first >= 700
    stream.finish()


def test_a_later_set_of_weights_replaces_an_earlier_one(restorer: Restorer, tiny: Artefact) -> None:
    stream = Stream(restorer)
    stream.push(5)
    restorer.adapt(weights_of(tiny, scale=0.015625))
    stream.push_until_adapted()
    restorer.adapt(replace(weights_of(tiny), label="the second"))
    stream.push_until_adapted("the second")
    stream.push(8)
    stream.finish()
    off = stream.done[-2].y.astype(int) - expected(stream.pushed - 2, ADAPTED)[0]
    assert np.abs(off).max() <= 1  # relative to the base, not to the first


def test_what_starts_anew_keeps_out_what_is_still_being_opened(
    restorer: Restorer, tiny: Artefact
) -> None:
    stream = Stream(restorer)
    stream.push(5)
    restorer.adapt(replace(weights_of(tiny), label="of a publisher that left"))
    stream.push(1)  # they are being opened from here on
    restorer.adapt(replace(weights_of(tiny), starts_anew=True))
    while restorer.weights_name != "profile a test":
        assert restorer.weights_name is None
        stream.push(1)
        time.sleep(0.002)
        assert stream.pushed < 10_000
    stream.finish()


@pytest.mark.parametrize("fault", ["another model", "spoilt picture", "too far ahead"])
def test_weights_that_cannot_be_used_leave_the_stream_as_it_is(
    restorer: Restorer, tiny: Artefact, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = weights_of(tiny, scale=0.015625)
    bad = {
        "another model": replace(good, base_sha256="ab" * 32),
        "spoilt picture": replace(
            good, changes={name: np.array(-0.12, np.float32) for name in MEAN}
        ),
        "too far ahead": replace(good, valid_from_pts=10**9),
    }[fault]
    stream = Stream(restorer)
    stream.push(5)
    restorer.adapt(replace(bad, label="the bad ones"))
    deadline_s = time.monotonic() + LIMIT_S
    for _ in range(20):
        stream.push(1)
    while fault != "another model" and "the bad ones is not used" not in caplog.text:
        assert time.monotonic() < deadline_s
        stream.push(1)
        time.sleep(0.002)
    assert restorer.weights_name is None
    restorer.adapt(good)
    stream.push_until_adapted()
    stream.finish()
    assert restorer.counts.restored == stream.pushed


def test_a_stream_starts_with_a_profile_and_keeps_it_when_its_size_changes(
    tiny: Artefact,
) -> None:
    weights = weights_of(tiny)
    restorer = Restorer(replace(CONFIG, model=str(tiny.folder)), weights=weights)
    try:
        stream = Stream(restorer)
        stream.push(6)
        stream.finish()
        assert np.abs(stream.done[3].y.astype(int) - expected(3, ADAPTED)[0]).max() <= 1
        small = [textured_frame(n, width=16, height=12, pts=(n + 6) * STEP) for n in range(5)]
        for frame in small:
            restorer.push(frame)
        assert restorer.weights_name == "profile a test"
        restorer.adapt(replace(weights, label="the second"))
        stream = Stream(restorer)
        stream.push_until_adapted("the second")
        for frame in small:
            restorer.push(frame)
        assert restorer.weights_name == "the second"
    finally:
        restorer.close()


def test_weights_for_none_of_the_models_in_use_are_told(
    tiny: Artefact, caplog: pytest.LogCaptureFixture
) -> None:
    other = replace(weights_of(tiny), base_sha256="ab" * 32)
    restorer = Restorer(replace(CONFIG, model=str(tiny.folder)), weights=other)
    restorer.push(frame_of(0))
    assert "profile a test is for no model that is used for 32x24" in caplog.text
    names = [restorer.weights_name]
    assert names == [None]
    restorer.close()


def test_weights_beyond_all_measure_stop_a_start(tiny: Artefact) -> None:
    bad = replace(weights_of(tiny), changes={LIFT: np.array([99.0], np.float32)})
    restorer = Restorer(replace(CONFIG, model=str(tiny.folder)), weights=bad)
    with pytest.raises(DeltaRefused, match="are allowed"):
        restorer.push(frame_of(0))
    restorer.close()


def test_streams_with_the_same_weights_share_an_engine_and_no_other(
    tiny: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def counting(config: object, artefact: Artefact, lr_size: Size) -> object:
        opened.append(artefact.sha256)
        return open_backend(config, artefact, lr_size)  # type: ignore[arg-type] # passed on

    monkeypatch.setattr("decoder.backends.engine_pool.open_backend", counting)
    engines = EnginePool()
    one, same, other = (weights_of(tiny), weights_of(tiny), weights_of(tiny, scale=0.015625))
    restorers = [
        Restorer(replace(CONFIG, model=str(tiny.folder)), engines=engines, weights=weights)
        for weights in (one, same, other, None)
    ]
    for restorer in restorers:
        restorer.push(frame_of(0))
    assert len(opened) == len(set(opened)) == 3
    for restorer in restorers:
        restorer.close()
    engines.close()


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_shipped_model_changes_its_weights_without_a_flash(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = next(each for each in list_artefacts() if each.manifest.name == "live-xs-x2")
    monkeypatch.setattr(network_shelf, "list_artefacts", lambda: [shipped])
    lr, hr = Size(width=96, height=64), Size(width=192, height=128)
    restorer = Restorer(
        RestorerConfig(size=hr, model=str(shipped.folder), backend=backend, threads=1)  # type: ignore[arg-type] # one of the two
    )
    ramp = np.linspace(40, 200, lr.width).astype(np.uint8)[None].repeat(lr.height, axis=0)
    flat = np.full((lr.height // 2, lr.width // 2), 90, np.uint8)
    frame = Frame(y=ramp, u=flat, v=flat + 70, pts=0, quantiser=30.0)
    restorer.adapt(weights_of(shipped, scale=0.001, seed=3))
    done: list[Frame] = []
    deadline_s = time.monotonic() + LIMIT_S
    count = 0
    after = 0
    while after < 8:
        assert time.monotonic() < deadline_s
        done += restorer.push(frame.at(count * STEP))
        count += 1
        after += restorer.weights_name is not None
        time.sleep(0.002)
    done += restorer.flush()
    restorer.close()
    assert [each.pts for each in done] == [n * STEP for n in range(count)]
    assert restorer.counts.restored == count
    assert not np.array_equal(done[0].y, done[-1].y)
    for plane in ("y", "u", "v"):
        means = [float(getattr(each, plane).mean()) for each in done]
        assert max(abs(b - a) for a, b in pairwise(means)) < 0.5, plane
