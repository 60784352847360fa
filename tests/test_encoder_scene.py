"""Tests of the generated scene: `encoder.scene`, its layers, its letters and its sound."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from encoder.downscale import downscale
from encoder.scene import BT709, Scene, SceneConfig
from encoder.scene_font import text_dots, text_mask
from encoder.scene_layer import Layer, Planes
from encoder.scene_sound import BEEP_SAMPLES, sound
from stream.errors import ConfigError
from stream.frame import Frame, Size

SMALL = Size(width=320, height=180)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(SceneConfig(size=SMALL, duration_s=4))


def _difference(left: Frame, right: Frame) -> float:
    return float(np.abs(left.y.astype(int) - right.y).mean())


def test_a_frame_depends_on_its_index_only(scene: Scene) -> None:
    again = Scene(SceneConfig(size=SMALL, duration_s=4))
    for index in (70, 3, 70):
        first, second = scene.frame(index), again.frame(index)
        for left, right in ((first.y, second.y), (first.u, second.u), (first.v, second.v)):
            assert np.array_equal(left, right)


def test_frames_are_what_the_live_path_takes(scene: Scene) -> None:
    frame = scene.frame(7)
    assert frame.size == SMALL
    assert frame.pts == 7 * 3_600
    assert frame.colour == BT709
    assert frame.y.min() >= 16
    assert frame.y.max() <= 235
    assert min(frame.u.min(), frame.v.min()) >= 16
    assert max(frame.u.max(), frame.v.max()) <= 240


def test_there_is_one_hard_cut_in_the_middle_and_motion_everywhere_else(scene: Scene) -> None:
    assert scene.frame_count == 100
    frames = [scene.frame(index) for index in range(100)]
    steps = [_difference(left, right) for left, right in pairwise(frames)]
    cut = steps.pop(49)
    assert cut > 35
    assert min(steps) > 0.3
    assert max(steps) < 0.6 * cut


def test_it_holds_detail_that_half_the_size_loses_and_colour() -> None:
    frame = Scene(SceneConfig(size=Size(width=640, height=360), duration_s=2)).frame(3)
    half = downscale(frame, size=Size(width=320, height=180))
    back = np.kron(half.y, np.ones((2, 2)))
    assert np.sqrt(((frame.y - back) ** 2).mean()) > 6
    assert frame.u.std() > 10
    assert frame.v.std() > 10


@pytest.mark.parametrize(
    "size", [Size(width=2, height=2), Size(width=64, height=36), Size(width=90, height=160)]
)
def test_any_even_size_can_be_rendered_in_full(size: Size) -> None:
    scene = Scene(SceneConfig(size=size, fps=10, duration_s=3))
    for index in (0, 9, 17, 29):
        assert scene.frame(index).size == size


def test_an_endless_scene_goes_back_and_forth_between_its_shots() -> None:
    scene = Scene(SceneConfig(size=Size(width=64, height=36), fps=10))
    assert scene.frame_count is None
    street, studio, street_again = (scene.frame(index) for index in (49, 50, 100))
    assert _difference(street, studio) > 25
    assert _difference(street_again, street) < 15  # the street goes on where it was left


@pytest.mark.parametrize(
    "config", [{"size": Size(width=63, height=36)}, {"fps": 0.0}, {"duration_s": -1.0}]
)
def test_what_cannot_be_rendered_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        SceneConfig(**config)  # type: ignore[arg-type] # a table of keywords


def _planes(width: int, height: int, luma: int = 100) -> Planes:
    chroma = (height // 2, width // 2)
    return (
        np.full((height, width), luma, np.uint8),
        np.full(chroma, 128, np.uint8),
        np.full(chroma, 128, np.uint8),
    )


def test_a_layer_moves_by_quarters_of_a_sample() -> None:
    across = np.arange(40, dtype=np.float32) / 80 + 0.2
    ramp = np.tile(across[None, :, None], (8, 1, 3)).astype(np.float32)
    layer = Layer(ramp)
    step_levels = 219 / 80
    drawn = []
    for left_quarters in range(-8, 1):
        planes = _planes(24, 8)
        layer.draw(planes, left_quarters=left_quarters, top=0)
        drawn.append(float(planes[0][:, 8:16].mean()))
    assert np.diff(drawn) == pytest.approx([-step_levels / 4] * 8, abs=0.3)


def test_a_layer_is_cut_off_at_the_edges_and_see_through_where_it_is_not_covered() -> None:
    white = np.ones((4, 4, 3), np.float32)
    alpha = np.zeros((4, 4), np.float32)
    alpha[:, :2] = 1.0
    planes = _planes(8, 8)
    Layer(white, alpha).draw(planes, left_quarters=-4, top=-2)
    assert (planes[0][:2, 0] == 235).all()
    assert (planes[0][:2, 1:] == 100).all()
    assert (planes[0][2:] == 100).all()
    before = [plane.copy() for plane in planes]
    Layer(white).draw(planes, left_quarters=400, top=0)
    assert all(np.array_equal(left, right) for left, right in zip(before, planes, strict=True))


def test_every_letter_looks_different() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:-/!+%&"
    assert len({text_dots(letter).tobytes() for letter in letters}) == len(letters)


@pytest.mark.parametrize("height", [7, 11, 14, 40])
def test_text_has_the_height_asked_for_and_covers_like_its_dots(height: int) -> None:
    mask = text_mask("Hg8", height)
    assert mask.shape == (height, round(18 * height / 7))
    assert float(mask.mean()) == pytest.approx(float(text_dots("Hg8").mean()), abs=0.06)
    assert 0 <= mask.min() <= mask.max() <= 1


def test_sound_is_seamless_and_beeps_on_the_full_second() -> None:
    whole = sound(0, 3 * 48_000)
    parts = [sound(start, 960) for start in range(0, 3 * 48_000, 960)]
    assert np.array_equal(whole, np.concatenate(parts))
    loudness = np.abs(whole[:, 0].astype(int)).reshape(-1, 960).max(axis=1)
    loud = np.flatnonzero(loudness > 3_000)
    assert loud.tolist() == [
        50 * second + part for second in range(3) for part in range(BEEP_SAMPLES // 960)
    ]
    assert 0 < loudness.min() < 1_000
