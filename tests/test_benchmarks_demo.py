"""The demo as a user runs it, on a short small scene."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import av
import pytest

from benchmarks.direct_coding import bitrate_for_quality, code_directly
from benchmarks.speed.candidates import moving_frames
from stream.frame import Size

ROOT = Path(__file__).parent.parent
SMALL = Size(width=320, height=192)


@pytest.mark.timeout(120)
def test_the_demo_streams_restores_measures_and_draws(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.demo", "--input", "test:2?size=640x360&fps=25"]
    command += ["--size", "640x360", "--lr-size", "320x180", "--bitrate", "100k"]
    command += ["--out", str(tmp_path), "--json", str(tmp_path / "figures.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert figures["frames_sent"] == 50
    assert figures["frames"] + figures["frames_dropped"] == 50
    assert 15 < figures["psnr_y_lanczos_db"] < 45
    # matched frame by frame: one frame off costs this moving scene several dB
    assert abs(figures["psnr_y_restored_db"] - figures["psnr_y_lanczos_db"]) < 1
    assert 40_000 < figures["wire_bps"] < 160_000
    with av.open(str(tmp_path / "comparison.png")) as picture:
        assert picture.streams.video[0].width > 3 * 600
    with av.open(str(tmp_path / "restored.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == figures["frames"]
    assert not list(tmp_path.glob("*.y4m"))


def test_a_clip_that_is_not_there_is_one_line_and_exit_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.demo", "--input", "nope.mp4", "--out"]
    done = subprocess.run(
        [*command, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no file nope.mp4" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_rate_found_for_a_quality_lies_between_the_points_around_it() -> None:
    frames = moving_frames(SMALL, 15)
    low = code_directly(frames, frame_rate=25, target_bps=100_000)
    high = code_directly(frames, frame_rate=25, target_bps=400_000)
    assert high.psnr_y_db > low.psnr_y_db + 1
    wanted = (low.psnr_y_db + high.psnr_y_db) / 2
    found, points = bitrate_for_quality(frames, frame_rate=25, psnr_y_db=wanted, start_bps=100_000)
    assert found is not None
    assert points[-2].wire_bps < found <= points[-1].wire_bps


def test_a_quality_out_of_reach_is_reported_and_not_extrapolated() -> None:
    frames = moving_frames(SMALL, 3)
    found, points = bitrate_for_quality(frames, frame_rate=25, psnr_y_db=99.0, start_bps=3_000_000)
    assert found is None
    assert len(points) >= 2
