"""Tests of `stream.scene_cut`: cuts are found, everything else is left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from encoder.scene import Scene, SceneConfig
from stream.frame import Frame, Size
from stream.scene_cut import SceneCutDetector

FRAME = 3_600


def _frames(pictures: list[NDArray[np.float64]]) -> list[Frame]:
    frames = []
    for number, picture in enumerate(pictures):
        y = np.ascontiguousarray(np.clip(picture, 16, 235).astype(np.uint8))
        half = np.full((y.shape[0] // 2, y.shape[1] // 2), 128, np.uint8)
        frames.append(Frame(y=y, u=half, v=half, pts=number * FRAME))
    return frames


def _cuts(pictures: list[NDArray[np.float64]], keyframes: tuple[int, ...] = ()) -> list[int]:
    detector = SceneCutDetector()
    frames = _frames(pictures)
    for number in keyframes:
        frames[number] = replace(frames[number], is_keyframe=True)
    return [number for number, frame in enumerate(frames) if detector.push(frame)]


def _texture(seed: int, height: int = 144, width: int = 256) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    coarse = np.kron(rng.uniform(30, 220, (height // 24, width // 32 + 1)), np.ones((24, 32)))
    fine = np.kron(rng.uniform(-25, 25, (height // 4, width // 4 + 8)), np.ones((4, 4)))
    return np.asarray(coarse[:, :width] + fine[:, :width])


def test_a_hard_cut_is_found_at_its_frame() -> None:
    assert _cuts([_texture(1)] * 5 + [_texture(2)] * 5) == [5]


def test_the_cut_of_the_test_scene_is_found_and_nothing_else() -> None:
    scene = Scene(SceneConfig(size=Size(width=320, height=180), duration_s=4))
    detector = SceneCutDetector()
    assert [n for n in range(100) if detector.push(scene.frame(n))] == [50]


@pytest.mark.parametrize("step", [4, 24, 48])
def test_a_pan_is_no_cut_however_fast(step: int) -> None:
    wide = _texture(3, width=256 + 48 * 12)
    assert _cuts([wide[:, step * n : step * n + 256] for n in range(12)]) == []


def test_flashes_fades_and_exposure_changes_are_no_cuts() -> None:
    picture = _texture(4)
    flash = [picture, picture, 0.6 * picture + 90, picture, picture]
    fade = [16 + (picture - 16) * (1 - n / 12) for n in range(13)]
    assert _cuts(flash + fade) == []


def test_a_picture_after_black_is_a_cut_and_black_after_it_is_none() -> None:
    black = np.full((144, 256), 16.0)
    assert _cuts([black, black, _texture(5), _texture(5), black]) == [2]


def test_a_strobe_of_different_pictures_gives_two_keyframes_a_second_at_most() -> None:
    cuts = _cuts([_texture(100 + n) for n in range(50)])
    assert 2 <= len(cuts) <= 4


def test_without_a_least_distance_every_cut_is_told() -> None:
    detector = SceneCutDetector(min_distance=0)
    shots = _frames([_texture(seed) for seed in (1, 1, 2, 3, 3, 4)])
    assert [n for n, frame in enumerate(shots) if detector.push(frame)] == [2, 3, 5]


def test_a_clock_that_restarts_hides_no_cut() -> None:
    detector = SceneCutDetector()
    one, other, third = _frames([_texture(seed) for seed in (1, 2, 3)])
    told = [detector.push(frame) for frame in (one.at(0), other.at(100 * FRAME), third.at(0))]
    assert told == [False, True, True]


def _similar_shots() -> list[NDArray[np.float64]]:
    """Two shots whose thumbnails correlate by about 0.67, as no shot does with itself."""
    common = _texture(7)
    return [common + 0.7 * (_texture(seed) - 125) for seed in (8, 8, 9, 9)]


def test_a_doubtful_cut_is_believed_on_a_keyframe_alone() -> None:
    assert _cuts(_similar_shots()) == []
    assert _cuts(_similar_shots(), keyframes=(0, 2)) == [2]


def test_where_every_frame_is_a_keyframe_that_tells_nothing() -> None:
    assert _cuts(_similar_shots(), keyframes=(0, 1, 2, 3)) == []


def test_a_keyframe_within_a_shot_is_no_cut() -> None:
    wide = _texture(3, width=256 + 8 * 12)
    shot = [wide[:, 8 * n : 8 * n + 256] for n in range(12)]
    assert _cuts(shot, keyframes=(0, 5, 10)) == []


def test_nothing_is_compared_across_a_forgotten_past() -> None:
    detector = SceneCutDetector()
    one, other = _frames([_texture(1), _texture(2)])
    detector.push(one)
    detector.forget()
    assert not detector.push(other)


def test_noise_on_a_flat_picture_is_no_cut() -> None:
    rng = np.random.default_rng(6)
    assert _cuts([100 + rng.normal(0, 12, (144, 256)) for _ in range(10)]) == []


@given(
    arrays.arrays(
        np.uint8, st.tuples(st.sampled_from([2, 10, 36, 90]), st.sampled_from([2, 64, 130]))
    )
)
def test_any_picture_of_any_size_is_taken(y: NDArray[np.uint8]) -> None:
    detector = SceneCutDetector()
    half = np.zeros((y.shape[0] // 2, y.shape[1] // 2), np.uint8)
    assert not detector.push(Frame(y=y, u=half, v=half, pts=0))
    assert not detector.push(Frame(y=y, u=half, v=half, pts=FRAME))
