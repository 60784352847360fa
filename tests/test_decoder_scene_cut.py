import numpy as np
import pytest

from decoder.scene_cut import SceneCutDetector, thumbnail
from stream.frame import NEUTRAL_CHROMA, Frame, Plane


def _frame(luma: Plane, *, is_keyframe: bool = False) -> Frame:
    height, width = luma.shape
    chroma = np.full((height // 2, width // 2), NEUTRAL_CHROMA, np.uint8)
    return Frame(y=luma, u=chroma, v=chroma, pts=0, is_keyframe=is_keyframe)


def _scene(seed: int) -> Plane:
    """A wide smooth landscape of blobs, to pan over."""
    rng = np.random.default_rng(seed)
    blobs = rng.integers(30, 220, (12, 40)).astype(np.float64)
    rows, columns = np.linspace(0, 11, 180), np.linspace(0, 39, 1280)
    across = np.stack([np.interp(columns, np.arange(40), line) for line in blobs])
    return np.stack([np.interp(rows, np.arange(12), column) for column in across.T], axis=1).astype(
        np.uint8
    )


def _view(scene: Plane, left: int) -> Plane:
    return np.ascontiguousarray(scene[:, left : left + 320])


def _cuts(frames: list[Frame]) -> list[int]:
    detector = SceneCutDetector()
    return [index for index, frame in enumerate(frames) if detector.is_cut(frame)]


@pytest.mark.parametrize("keyframes", [False, True])
def test_a_hard_cut_is_found_on_its_very_frame(keyframes: bool) -> None:
    one, other = _scene(1), _scene(2)
    frames = [_frame(_view(one, 2 * i)) for i in range(10)]
    frames += [_frame(_view(other, 2 * i), is_keyframe=keyframes) for i in range(10)]
    assert _cuts(frames) == [10]


@pytest.mark.parametrize("speed", [0, 2, 6, 12])
def test_a_pan_is_no_cut(speed: int) -> None:
    scene = _scene(3)
    assert _cuts([_frame(_view(scene, speed * i)) for i in range(30)]) == []


def test_a_whip_pan_is_cut_up_only_where_it_starts() -> None:
    scene = _scene(3)
    cuts = _cuts([_frame(_view(scene, 30 * i)) for i in range(30)])
    assert len(cuts) <= 2


def test_two_cuts_in_a_row_are_both_found() -> None:
    shots = [_view(_scene(seed), 0) for seed in (1, 1, 1, 2, 3, 3, 3)]
    assert _cuts([_frame(shot) for shot in shots]) == [3, 4]


def test_a_keyframe_alone_is_no_cut() -> None:
    scene = _scene(4)
    frames = [_frame(_view(scene, 4 * i), is_keyframe=i % 5 == 0) for i in range(30)]
    assert _cuts(frames) == []


def test_a_weak_cut_is_believed_only_on_a_keyframe() -> None:
    dim = np.full((180, 320), 60, np.uint8)
    brighter = np.full((180, 320), 72, np.uint8)
    assert _cuts([_frame(dim), _frame(brighter)]) == []
    assert _cuts([_frame(dim), _frame(brighter, is_keyframe=True)]) == [1]


def test_noise_is_no_cut() -> None:
    rng = np.random.default_rng(5)
    frames = [_frame(rng.integers(16, 236, (90, 160), np.uint8)) for _ in range(20)]
    assert _cuts(frames) == []


def test_nothing_is_compared_across_a_forgotten_past() -> None:
    detector = SceneCutDetector()
    detector.is_cut(_frame(_view(_scene(1), 0)))
    detector.forget()
    assert not detector.is_cut(_frame(_view(_scene(2), 0)))


@pytest.mark.parametrize("shape", [(2, 2), (16, 16), (90, 160), (720, 1280), (2, 4096)])
def test_any_picture_has_a_thumbnail_between_its_extremes(shape: tuple[int, int]) -> None:
    luma = np.random.default_rng(6).integers(50, 60, shape, np.uint8)
    small = thumbnail(luma)
    assert small.shape == (9, 16)
    assert small.min() >= luma.min()
    assert small.max() <= luma.max()
