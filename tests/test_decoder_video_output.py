from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from decoder.video_output import VideoOutput, VideoOutputConfig, exact_rate
from stream.errors import CodecError, ConfigError
from stream.frame import CLOCK_HZ, Frame, Size
from tests.sink_media import BT709, SIZE, STEP, picture


@pytest.mark.parametrize(
    ("frame_rate", "exact"),
    [
        (25, Fraction(25)),
        (29.97, Fraction(30_000, 1001)),
        (30_000 / 1001, Fraction(30_000, 1001)),
        (23.976, Fraction(24_000, 1001)),
        (59.94, Fraction(60_000, 1001)),
        (30, Fraction(30)),
        (12.5, Fraction(25, 2)),
        (0.5, Fraction(1, 2)),
    ],
)
def test_a_rounded_rate_becomes_the_one_that_is_meant(frame_rate: float, exact: Fraction) -> None:
    assert exact_rate(frame_rate) == exact


@pytest.mark.parametrize("frame_rate", [0, -25, float("nan"), float("inf")])
def test_an_impossible_rate_is_refused(frame_rate: float) -> None:
    with pytest.raises(ConfigError, match="frame rate"):
        exact_rate(frame_rate)


@pytest.mark.parametrize("settings", [{"crf": 52}, {"threads": 0}, {"keyframe_interval_ms": 0}])
def test_impossible_settings_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        VideoOutputConfig(**settings)  # type: ignore[arg-type] # mypy does not know which keys


def coded(
    path: Path, config: VideoOutputConfig, frames: list[Frame], size: Size = SIZE
) -> list[list[av.Packet[av.VideoStream]]]:
    """The packets that each frame gave, the last entry being those of `flush`."""
    with av.open(str(path), "w", format="mp4") as container:
        output = VideoOutput(
            container, size=size, frame_rate=25, colour=BT709, global_header=True, config=config
        )
        packets = [output.encode(frame, pts=frame.pts) for frame in frames]
        return [*packets, output.flush()]


def test_every_frame_leaves_at_once(tmp_path: Path) -> None:
    frames = [picture(index * STEP) for index in range(8)]
    packets = coded(tmp_path / "x.mp4", VideoOutputConfig(), frames)
    assert [len(group) for group in packets] == [1] * 8 + [0]
    assert [group[0].pts for group in packets[:8]] == [frame.pts for frame in frames]
    assert all(group[0].dts == group[0].pts for group in packets[:8])


def test_keyframes_lie_on_the_grid_whatever_the_frame_rate_does(tmp_path: Path) -> None:
    times = [0, 60_000, 95_000, 179_999, 180_001, 500_000, 520_000, 540_000]
    frames = [picture(pts) for pts in times]
    packets = coded(tmp_path / "x.mp4", VideoOutputConfig(keyframe_interval_ms=1000), frames)
    keys = [group[0].pts for group in packets[:-1] if group[0].is_keyframe]
    assert keys == [0, 95_000, 180_001, 500_000, 540_000]


def test_a_link_is_never_given_more_than_its_limit(tmp_path: Path) -> None:
    noise = np.random.default_rng(3)
    frames = [
        Frame(
            y=noise.integers(16, 236, (96, 160), np.uint8),
            u=noise.integers(16, 241, (48, 80), np.uint8),
            v=noise.integers(16, 241, (48, 80), np.uint8),
            pts=index * STEP,
        )
        for index in range(100)
    ]
    limit_bps = 400_000
    sizes = {}
    for limit in (None, limit_bps):
        config = VideoOutputConfig(max_bitrate_bps=limit)
        packets = coded(tmp_path / "x.mp4", config, frames)
        sizes[limit] = sum(group[0].size for group in packets[:-1]) * 8 * CLOCK_HZ // (100 * STEP)
    free_bps, limited_bps = sizes[None], sizes[limit_bps]
    assert free_bps > 3 * limit_bps
    assert limited_bps < 1.3 * limit_bps  # noise at the coarsest quantiser, and a full buffer


def test_a_size_x264_cannot_code_is_a_codec_error(tmp_path: Path) -> None:
    with pytest.raises(CodecError, match="libx264 refused 161x96"):
        coded(tmp_path / "x.mp4", VideoOutputConfig(), [], size=Size(width=161, height=96))
