from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from decoder.training.ffmpeg_comparison import judge_version
from decoder.training.raw_clip import RawClip
from decoder.training.vmaf_judge import VmafJudge
from stream.errors import CodecError
from stream.frame import Frame
from tests.training_media import moving_frame

COUNT = 4
FRAMES = [moving_frame(index, width=192, height=160) for index in range(COUNT)]


@pytest.fixture
def original(tmp_path: Path) -> RawClip:
    return RawClip.write(tmp_path / "clip.y4m", FRAMES, Fraction(30000, 1001))


def _noisy(frame: Frame, levels: int, *, seed: int = 1) -> Frame:
    noise = np.random.default_rng(seed).integers(-levels, levels + 1, frame.y.shape)
    return replace(frame, y=np.clip(frame.y + noise, 16, 235).astype(np.uint8))


def test_equal_pictures_are_best_and_noise_is_worse(original: RawClip) -> None:
    found = []
    for levels in (0, 10, 40):
        with VmafJudge(original) as judge:
            for frame in FRAMES:
                judge.push(_noisy(frame, levels))
            found.append(judge.scores())
    assert found[0].vmaf > 95
    assert found[0].vmaf_neg > 95
    assert found[0].vmaf_neg > found[1].vmaf_neg > found[2].vmaf_neg
    assert "vmaf_v0.6.1neg" in judge_version()


def test_pictures_that_do_not_pair_are_refused(original: RawClip) -> None:
    with VmafJudge(original) as judge:
        judge.push(FRAMES[0])
        with pytest.raises(CodecError, match=f"1 of {COUNT} pictures"):
            judge.scores()
    with VmafJudge(original) as judge, pytest.raises(CodecError, match="a picture of 64x64"):
        judge.push(moving_frame(0, width=64, height=64))
