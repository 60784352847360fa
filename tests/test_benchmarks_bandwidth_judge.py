from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.bandwidth.clips import BenchClip
from benchmarks.bandwidth.judge import BEST_PSNR_DB, Quality, judge
from benchmarks.quality import mean_psnr_y
from stream.errors import CodecError
from stream.frame import Frame
from tests.bench_clips import bench_clip, blurred, moving_frames

FRAMES = 12


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return moving_frames(FRAMES)


@pytest.fixture(scope="module")
def original(frames: list[Frame], tmp_path_factory: pytest.TempPathFactory) -> BenchClip:
    return bench_clip(tmp_path_factory.mktemp("judge"), frames)


@pytest.fixture(scope="module")
def identical(frames: list[Frame], original: BenchClip) -> Quality:
    return judge(frames, original)


def worse_in_all(quality: Quality, other: Quality) -> bool:
    ours, theirs = quality.as_dict(), other.as_dict()
    return all(ours[name] < theirs[name] for name in ours)


def test_identical_pictures_are_as_good_as_can_be(identical: Quality) -> None:
    assert identical.vmaf >= 97
    assert identical.vmaf_neg >= 97
    assert identical.ssim_y == pytest.approx(1)
    assert identical.psnr_y_db == BEST_PSNR_DB
    assert identical.xpsnr_y_db == BEST_PSNR_DB


def test_blurred_pictures_are_worse_by_every_measure(
    frames: Sequence[Frame], original: BenchClip, identical: Quality
) -> None:
    soft = judge([replace(frame, y=blurred(frame.y)) for frame in frames], original)
    assert worse_in_all(soft, identical)
    assert soft.vmaf < 90


def test_a_shift_by_one_frame_is_seen(
    frames: Sequence[Frame], original: BenchClip, identical: Quality
) -> None:
    shifted = judge([frames[0], *frames[:-1]], original)
    assert worse_in_all(shifted, identical)
    assert shifted.psnr_y_db < 40


def test_each_picture_is_compared_with_its_own_original(
    frames: Sequence[Frame], original: BenchClip
) -> None:
    rng = np.random.default_rng(3)
    noisy = [
        replace(f, y=np.clip(f.y + rng.normal(0, 1 + i, f.y.shape), 0, 255).astype(np.uint8))
        for i, f in enumerate(frames)
    ]
    ours = mean_psnr_y(noisy, frames)
    assert judge(noisy, original).psnr_y_db == pytest.approx(ours, abs=0.02)


def test_another_clip_in_its_place_is_seen(original: BenchClip, identical: Quality) -> None:
    other = judge(moving_frames(FRAMES, seed=9), original)
    assert worse_in_all(other, identical)
    assert other.vmaf_neg < 20
    assert other.psnr_y_db < 20


@pytest.mark.parametrize("count", [FRAMES - 1, FRAMES + 1])
def test_too_few_and_too_many_pictures_are_refused(
    count: int, frames: Sequence[Frame], original: BenchClip
) -> None:
    with pytest.raises(CodecError, match=f"{count} of {FRAMES} pictures"):
        judge([*frames, frames[-1]][:count], original)


def test_pictures_of_another_size_are_refused(original: BenchClip) -> None:
    small = moving_frames(2, size=replace(original.size, width=416))
    with pytest.raises(CodecError, match="416x240"):
        judge(small, original)
