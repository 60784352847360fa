"""Weights by scene: at hand when a camera comes back, never mixed, never too many."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from decoder.adapted_artefact import AdaptedWeights, ShownScene, adaptable_shapes, own_weights
from decoder.artefact import Artefact
from decoder.config import RestorerConfig
from decoder.restorer import Restorer
from decoder.scene_weights import LOOK_EVERY, LOOKS_TO_LEAVE
from decoder.weight_profile import profile_weights
from stream.frame import CLOCK_HZ, Frame, Size
from stream.profile_file import decode_profile
from stream.scene_signature import MAX_SCENES, signature_of
from tests.profiles import profile_for
from tests.tiny_artefact import MEAN, WEIGHTS, expected_planes, write_tiny_artefact

STEP = CLOCK_HZ // 25
LR = Size(width=32, height=24)
CONFIG = RestorerConfig(size=Size(width=64, height=48), backend="onnxruntime", threads=1)
LIMIT_S = 60.0
SCALES = {"studio": 0.03125, "stage": 0.015625}
"""By how much all weights of the tiny network grow for a scene."""


def picture(place: str, number: int, size: Size = LR) -> Frame:
    """A place that differs in light and colour from every other, with a little noise."""
    rng = np.random.default_rng(sum(place.encode()) * 7)
    rows, columns = size.height // 4, size.width // 4
    blocks = rng.integers(60, 180, (rows, columns)).repeat(4, axis=0).repeat(4, axis=1)
    noise = np.random.default_rng(number).integers(0, 4, blocks.shape)
    half = (size.height // 2, size.width // 2)
    u, v = (np.full(half, level, np.uint8) for level in rng.integers(60, 200, 2))
    return Frame(y=(blocks + noise).astype(np.uint8), u=u, v=v, pts=number * STEP)


def weights_for(artefact: Artefact, place: str, scale: float | None = None) -> AdaptedWeights:
    profile = decode_profile(profile_for(artefact, scale=scale or SCALES[place]))
    scene = ShownScene(key=place, signatures=(signature_of(picture(place, 0)),))
    weights = profile_weights(profile, adaptable_shapes(artefact))
    return replace(weights, label=f"weights for the {place}", scene=scene)


class Programme:
    """Goes from place to place and keeps what comes out."""

    def __init__(self, restorer: Restorer) -> None:
        self.restorer = restorer
        self.places: list[str] = []
        self.done: list[Frame] = []
        self.weights: list[str | None] = []

    def show(self, place: str, count: int = 1) -> None:
        for _ in range(count):
            self.done += self.restorer.push(picture(place, len(self.places)))
            self.places.append(place)
            self.weights.append(self.restorer.weights_name)

    def show_until(self, place: str, holds: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + LIMIT_S
        while not holds():
            assert time.monotonic() < deadline_s
            self.show(place)
            time.sleep(0.002)

    def wait_for(self, place: str) -> None:
        """Show a place until its weights are in use, and the fade to them is over."""
        self.show_until(place, lambda: self.restorer.weights_name == f"weights for the {place}")
        self.show(place, 6)

    def finish(self) -> None:
        self.done += self.restorer.flush()
        assert [frame.pts for frame in self.done] == [n * STEP for n in range(len(self.places))]
        assert self.restorer.counts.restored == len(self.places)

    def expected(self, number: int, scale: float) -> np.ndarray:
        """Luma of a frame by these weights, over the frames beside it of the same shot."""
        shot = [number]
        while shot[0] and self.places[shot[0] - 1] == self.places[number]:
            shot.insert(0, shot[0] - 1)
        while shot[-1] + 1 < len(self.places) and self.places[shot[-1] + 1] == self.places[number]:
            shot.append(shot[-1] + 1)
        window = [min(max(number + i, shot[0]), shot[-1]) for i in (-1, 0, 1)]
        frames = [picture(self.places[each], each) for each in window]
        grown = [weight + scale for weight in WEIGHTS]
        return expected_planes(frames, weights=grown)[0].astype(int)


@pytest.fixture
def tiny(tmp_path: Path) -> Artefact:
    return write_tiny_artefact(tmp_path / "tiny-x2")


@pytest.fixture
def programme(tiny: Artefact) -> Iterator[Programme]:
    restorer = Restorer(replace(CONFIG, model=str(tiny.folder)))
    yield Programme(restorer)
    restorer.close()


def test_a_camera_that_comes_back_has_its_weights_from_its_first_frame_on(
    programme: Programme, tiny: Artefact
) -> None:
    for place in SCALES:
        programme.restorer.adapt(weights_for(tiny, place))
    for place in SCALES:
        programme.wait_for(place)
    first = len(programme.places)
    shots = [place for place in ("studio", "stage", "street") for _ in range(4)] * 2
    for place in shots:
        programme.show(place)
    programme.finish()
    names: dict[str, str | None] = {place: f"weights for the {place}" for place in SCALES}
    assert programme.weights[first:] == [names.get(place) for place in shots]
    for number in range(first, len(programme.places)):  # frames beside a cut, too, to the bit
        expected = programme.expected(number, SCALES.get(programme.places[number], 0.0))
        assert np.abs(programme.done[number].y - expected).max() <= 1, number


def test_a_scene_that_is_on_gets_its_weights_by_fading(
    programme: Programme, tiny: Artefact
) -> None:
    programme.show("studio", 5)
    programme.restorer.adapt(weights_for(tiny, "studio"))
    programme.wait_for("studio")
    programme.restorer.adapt(weights_for(tiny, "studio", scale=0.0078125))  # later, better ones
    number = len(programme.places)
    programme.show_until(
        "studio",
        lambda: (
            len(programme.done) > number
            and np.abs(
                programme.done[-1].y - programme.expected(len(programme.done) - 1, 0.0078125)
            ).max()
            <= 1
        ),
    )
    programme.finish()
    assert programme.weights[-1] == "weights for the studio"
    means = [float(frame.y.mean()) for frame in programme.done]
    whole = max(means) - min(means)
    assert max(abs(b - a) for a, b in pairwise(means)) < whole / 2


def test_a_dissolve_to_another_scene_is_found_without_a_cut(
    programme: Programme, tiny: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.scene_cut.SceneCutDetector.push", lambda *_: False)
    for place in SCALES:
        programme.restorer.adapt(weights_for(tiny, place))
    for place in SCALES:
        programme.wait_for(place)
    first = len(programme.places)
    programme.show("street", LOOK_EVERY * LOOKS_TO_LEAVE + 6)
    programme.finish()
    kept = programme.weights[first : first + LOOK_EVERY]  # one look is not believed
    assert kept == ["weights for the stage"] * LOOK_EVERY
    assert programme.weights[-1] is None


def test_few_scenes_are_kept_and_the_least_lately_shown_goes(
    programme: Programme, tiny: Artefact
) -> None:
    scenes = programme.restorer._weights._scenes
    places = [f"place {number}" for number in range(MAX_SCENES)]
    for place in places:
        programme.restorer.adapt(weights_for(tiny, place, 0.015625))
    for place in places[1:]:
        programme.wait_for(place)
    for place in ("new", "newer"):
        programme.restorer.adapt(weights_for(tiny, place, 0.03125))
    assert scenes.keys == (*places[2:], "new", "newer")
    programme.wait_for("newer")
    programme.wait_for(places[2])
    programme.finish()


def test_a_new_size_gets_its_networks_and_a_new_publisher_takes_all_away(
    programme: Programme, tiny: Artefact
) -> None:
    programme.restorer.adapt(weights_for(tiny, "studio"))
    programme.wait_for("studio")
    small = Size(width=16, height=12)
    restorer, pts = programme.restorer, len(programme.places)
    deadline_s = time.monotonic() + LIMIT_S
    restorer.push(picture("studio", pts, small))
    while restorer.weights_name is None:
        assert time.monotonic() < deadline_s
        pts += 1
        restorer.push(picture("studio", pts, small))
        time.sleep(0.002)
    restorer.adapt(replace(own_weights(tiny.sha256), starts_anew=True))
    assert restorer._weights._scenes.keys == ()
    names: list[str | None] = []
    for _ in range(8):
        pts += 1
        restorer.push(picture("studio", pts, small))
        names.append(restorer.weights_name)
    assert names[-1] is None
    assert not restorer._weights._scenes.is_used
    assert restorer.counts.failed == 0


@pytest.mark.parametrize("fault", ["another model", "spoilt picture", "too far ahead"])
def test_bad_weights_for_a_scene_leave_it_as_it_is(
    programme: Programme, tiny: Artefact, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = weights_for(tiny, "studio")
    bad = {
        "another model": replace(good, base_sha256="ab" * 32),
        "spoilt picture": replace(
            good, changes={name: np.array(-0.12, np.float32) for name in MEAN}
        ),
        "too far ahead": replace(good, valid_from_pts=10**9),
    }[fault]
    caplog.set_level("INFO")
    programme.show("studio", 3)
    programme.restorer.adapt(replace(bad, label="the bad ones"))
    programme.show_until("studio", lambda: "the bad ones is" in caplog.text)
    assert programme.restorer.weights_name is None
    programme.restorer.adapt(good)
    programme.wait_for("studio")
    programme.restorer.adapt(replace(bad, label="bad once more"))
    programme.show_until("studio", lambda: "bad once more is" in caplog.text)
    if fault != "another model":
        assert programme.restorer.weights_name == "weights for the studio"
    programme.finish()


def test_scenes_can_be_known_from_the_start_beside_weights_for_all(tiny: Artefact) -> None:
    usual = replace(weights_for(tiny, "studio"), scene=None, label="the usual ones")
    scenes = [weights_for(tiny, "stage")]
    restorer = Restorer(replace(CONFIG, model=str(tiny.folder)), weights=usual, scenes=scenes)
    try:
        programme = Programme(restorer)
        programme.wait_for("stage")
        programme.show("street", 3)
        assert restorer.weights_name == "the usual ones"
        programme.show("stage")
        assert restorer.weights_name == "weights for the stage"
        programme.finish()
    finally:
        restorer.close()
