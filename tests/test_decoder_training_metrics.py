import re
import subprocess
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from decoder.training.metrics import BEST_PSNR_DB, flicker_db, psnr_db, ssim
from decoder.training.raw_clip import RawClip
from stream.errors import FrameError
from stream.frame import Frame
from tests.training_media import moving_frame

ORIGINAL = moving_frame(0).y


def _noisy(spread: float) -> Frame:
    frame = moving_frame(0)
    noise = np.random.default_rng(1).normal(0, spread, frame.y.shape)
    luma = np.clip(np.round(frame.y + noise), 0, 255).astype(np.uint8)
    return Frame(y=luma, u=frame.u, v=frame.v, pts=0)


def test_a_difference_of_one_level_everywhere_is_48_db() -> None:
    assert psnr_db(ORIGINAL + 1, ORIGINAL) == pytest.approx(48.1308, abs=1e-4)
    assert psnr_db(ORIGINAL, ORIGINAL + 1) == pytest.approx(48.1308, abs=1e-4)


def test_equal_pictures_have_the_best_values() -> None:
    assert psnr_db(ORIGINAL, ORIGINAL) == BEST_PSNR_DB
    assert ssim(ORIGINAL, ORIGINAL) == pytest.approx(1)


def test_the_furthest_pictures_do_not_overflow() -> None:
    black, white = np.zeros((16, 16), np.uint8), np.full((16, 16), 255, np.uint8)
    assert psnr_db(white, black) == pytest.approx(0)
    assert psnr_db(black, white) == pytest.approx(0)
    assert ssim(white, black) < 0.01


def test_more_noise_is_worse_and_an_inverted_picture_is_unlike() -> None:
    values = [ssim(_noisy(spread).y, ORIGINAL) for spread in (2, 8, 32)]
    assert values == sorted(values, reverse=True)
    assert ssim(255 - ORIGINAL, ORIGINAL) < 0


def test_pictures_of_different_sizes_cannot_be_compared() -> None:
    for metric in (psnr_db, ssim):
        with pytest.raises(FrameError, match="cannot compare"):
            metric(ORIGINAL[:-2], ORIGINAL)
    with pytest.raises(FrameError, match="8x8"):
        ssim(ORIGINAL[:4, :4], ORIGINAL[:4, :4])


@pytest.mark.real_peer
@pytest.mark.parametrize("spread", [1.0, 6.0, 25.0])
def test_ffmpeg_measures_the_same(tmp_path: Path, spread: float) -> None:
    found = _noisy(spread)
    for name, frame in (("found", found), ("original", moving_frame(0))):
        RawClip.write(tmp_path / f"{name}.y4m", [frame], Fraction(25))

    said = subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-i", "found.y4m", "-i", "original.y4m"),
            *("-lavfi", "split[a][b];[a][1]psnr;[b][1]ssim", "-f", "null", "-"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stderr

    psnr_y = re.search(r"PSNR y:([0-9.]+)", said)
    ssim_y = re.search(r"SSIM Y:([0-9.]+)", said)
    assert psnr_y is not None, said
    assert ssim_y is not None, said
    assert psnr_db(found.y, ORIGINAL) == pytest.approx(float(psnr_y[1]), abs=0.005)
    assert ssim(found.y, ORIGINAL) == pytest.approx(float(ssim_y[1]), abs=0.001)


def test_flicker_is_what_comes_and_goes_not_what_stays() -> None:
    rng = np.random.default_rng(3)
    originals = [rng.integers(60, 180, (32, 48), np.uint8) for _ in range(2)]
    damage = rng.integers(-9, 10, (32, 48))
    steady = [(original + damage).astype(np.uint8) for original in originals]
    assert flicker_db(steady[0], originals[0], steady[1], originals[1]) == 100
    found = flicker_db(originals[0], originals[0], steady[1], originals[1])
    assert found == pytest.approx(psnr_db(steady[1], originals[1]))
    with pytest.raises(FrameError, match="cannot compare"):
        flicker_db(originals[0], originals[0][:8], originals[1], originals[1])
