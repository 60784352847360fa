from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from decoder.training.detail import detail_kept, detail_loss
from decoder.training.ffmpeg_comparison import FfmpegComparison
from decoder.training.raw_clip import RawClip
from stream.frame import Frame
from tests.training_media import moving_frame

WIDTH, HEIGHT = 192, 160
ORIGINAL = moving_frame(0, width=WIDTH, height=HEIGHT)


def luma(frame: Frame) -> Tensor:
    return torch.from_numpy(frame.y.astype(np.float32))[None, None]


def changed(*, blur: int, contrast: float) -> Frame:
    """Blurred by a box, and its contrast multiplied."""
    y = luma(ORIGINAL)
    kernel = torch.full((1, 1, blur, blur), 1 / blur**2)
    y = torch.nn.functional.conv2d(y, kernel, padding=blur // 2)
    levels = ((y - 128) * contrast + 128).round().clamp(0, 255)
    return Frame(y=levels[0, 0].to(torch.uint8).numpy(), u=ORIGINAL.u, v=ORIGINAL.v, pts=0)


@pytest.mark.parametrize(("blur", "contrast"), [(3, 1.0), (5, 0.9), (1, 0.8), (3, 1.3)])
def test_it_is_what_vmaf_neg_computes(blur: int, contrast: float, tmp_path: Path) -> None:
    picture = changed(blur=blur, contrast=contrast)
    clip = RawClip.write(tmp_path / "clip.y4m", [ORIGINAL], Fraction(25))
    with FfmpegComparison(
        clip.path,
        size=ORIGINAL.size,
        frame_rate=clip.frame_rate,
        count=1,
        filters={"libvmaf": r"model='version=vmaf_v0.6.1neg':log_fmt=json:log_path=log.json"},
    ) as comparison:
        comparison.push(picture)
        (frame,) = json.loads((comparison.finish() / "log.json").read_text())["frames"]
    # VMAF computes in integers, and weighs added contrast a little more.
    tolerance = 0.01 if contrast <= 1 else 0.03
    ours = float(detail_kept(luma(picture), luma(ORIGINAL)))
    assert ours == pytest.approx(frame["metrics"]["integer_adm2_egl_1"], abs=tolerance)


def test_nothing_is_lost_in_the_original_and_contrast_beyond_it_wins_nothing() -> None:
    same = float(detail_kept(luma(ORIGINAL), luma(ORIGINAL)))
    stronger = float(detail_kept(luma(changed(blur=1, contrast=1.2)), luma(ORIGINAL)))
    assert same == pytest.approx(1, abs=1e-4)
    assert stronger <= same


def test_following_its_gradient_brings_contrast_back() -> None:
    original = luma(ORIGINAL) / 128 - 1
    gain = torch.tensor(0.7, requires_grad=True)
    detail_loss(gain * original, original).backward()  # type: ignore[no-untyped-call]  # torch's
    assert gain.grad is not None
    assert gain.grad < 0
    assert torch.isfinite(gain.grad)


def test_flat_pictures_have_finite_gradients() -> None:
    flat = torch.zeros(1, 1, 64, 64, requires_grad=True)
    detail_loss(flat, torch.zeros(1, 1, 64, 64)).backward()  # type: ignore[no-untyped-call]  # torch's
    assert flat.grad is not None
    assert torch.isfinite(flat.grad).all()
