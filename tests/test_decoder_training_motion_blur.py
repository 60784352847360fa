from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decoder.training.footage import Shot, read_shot
from decoder.training.metrics import psnr_db
from decoder.training.motion_blur import mean_frame, read_blurred_shot
from stream.frame import Plane
from tests.training_media import moving_frame, write_footage


def _shot(path: Path, *, frames: int = 4, start: int = 0) -> Shot:
    return Shot(path=path, start=start, frames=frames, seed=1)


def test_fast_footage_is_averaged_around_the_sharp_frame_at_the_usual_rate(tmp_path: Path) -> None:
    path = write_footage(tmp_path / "fast.y4m", count=20, width=64, height=64, rate=60)

    shot = read_blurred_shot(_shot(path, start=2), scale=1, exposures=3)

    assert shot.rate == Fraction(30)
    assert len(shot.sharp) == len(shot.seen) == 4
    for index, (sharp, seen) in enumerate(zip(shot.sharp, shot.seen, strict=True)):
        near = [moving_frame(2 + 2 * index + step, width=64, height=64) for step in range(3)]
        assert np.array_equal(sharp.y, near[1].y)
        for plane in ("y", "u", "v"):
            mean = np.round(np.mean([getattr(frame, plane) for frame in near], axis=0))
            assert np.array_equal(getattr(seen, plane), mean)
        assert sharp.pts == seen.pts == index


def test_footage_at_the_usual_rate_stays_as_it_is(tmp_path: Path) -> None:
    path = write_footage(tmp_path / "usual.y4m", count=8, width=64, height=64, rate=30)
    shot = read_blurred_shot(_shot(path), scale=1, exposures=9)
    assert len(shot.sharp) == 4
    for index, (sharp, seen) in enumerate(zip(shot.sharp, shot.seen, strict=True)):
        assert np.array_equal(sharp.y, moving_frame(index, width=64, height=64).y)
        assert np.array_equal(sharp.y, seen.y)


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(5).integers(0, 256, (300, 400, 3), np.uint8)
    path = tmp_path / "still.png"
    Image.fromarray(pixels).save(path)
    return path


def _detail(luma: Plane) -> float:
    return float(np.abs(np.diff(luma.astype(int), axis=1)).mean())


def test_a_still_blurs_as_far_as_the_camera_moves(photograph: Path) -> None:
    shot = read_blurred_shot(_shot(photograph, frames=6), scale=1, exposures=9)
    again = read_blurred_shot(_shot(photograph, frames=6), scale=1, exposures=9)

    assert shot.rate == Fraction(25)
    for one, other in zip(shot.seen, again.seen, strict=True):
        assert np.array_equal(one.y, other.y)
    blurred = [
        (sharp, seen)
        for sharp, seen in zip(shot.sharp, shot.seen, strict=True)
        if not np.array_equal(sharp.y, seen.y)
    ]
    assert blurred, "the camera moves"
    for sharp, seen in blurred:
        assert sharp.pts == seen.pts
        assert _detail(seen.y) < _detail(sharp.y)
        # blurred about the same place, not moved: no shift fits better
        fits = {
            (x, y): psnr_db(
                np.ascontiguousarray(seen.y[8:-8, 8:-8]),
                np.ascontiguousarray(np.roll(sharp.y, (y, x), (0, 1))[8:-8, 8:-8]),
            )
            for x in (-2, 0, 2)
            for y in (-2, 0, 2)
        }
        assert max(fits, key=fits.__getitem__) == (0, 0)


def test_one_exposure_is_the_shot_itself(photograph: Path) -> None:
    shot = read_blurred_shot(_shot(photograph), scale=2, exposures=1)
    plain, rate = read_shot(_shot(photograph), scale=2)
    assert shot.rate == rate
    for seen, sharp, frame in zip(shot.seen, shot.sharp, plain, strict=True):
        assert np.array_equal(seen.y, frame.y)
        assert np.array_equal(sharp.y, frame.y)


def test_the_mean_of_frames_is_rounded_and_keeps_the_first_ones_time() -> None:
    frames = [moving_frame(index, width=32, height=32) for index in (5, 6)]
    mean = mean_frame(frames)
    exact = (frames[0].u.astype(float) + frames[1].u) / 2
    assert np.abs(mean.u - exact).max() <= 0.5
    assert mean.pts == 5
