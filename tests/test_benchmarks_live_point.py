"""A whole live run, measured, through real processes and a path of known delay."""

import pytest

from benchmarks.live.point import LiveRun, measure_live
from stream.errors import ConfigError
from stream.frame import Frame, Size
from tests.live_media import picture

SIZE = Size(width=640, height=352)
DELAY_MS = 80.0


class _Slow:
    def send(self, size_bytes: int, *, now_ms: float) -> float | None:
        return now_ms + DELAY_MS

    def restart_trace(self, *, now_ms: float) -> None:
        return


def _clip(count: int) -> list[Frame]:
    return [picture(index, size=SIZE) for index in range(count)]


def test_a_live_run_tells_bits_latency_by_stage_and_quality_as_seen() -> None:
    figures = measure_live(
        LiveRun(
            name="gradient",
            clip=_clip(30),
            frame_rate=15,
            size=SIZE,
            lr_size=Size(width=320, height=176),
            bitrate_bps=200_000,
            codec="h264",
            model="lanczos",
            playout_ms=3000,
            forward=_Slow(),
        )
    )
    assert figures["frames"] == 30
    assert figures["frames_dropped"] <= 10
    assert (figures["lr_size"], figures["size"], figures["codec"]) == ("320x176", "640x352", "h264")
    assert 5_000 < figures["video_bps"] < 300_000
    assert figures["wire_bps"]["rtcp"] > 0
    assert figures["wire_bps"]["all_with_ip"] > figures["wire_bps"]["video"]
    counted = figures["counted_bytes"]
    on_its_way = counted["relay"] - counted["receiver"]  # when the receiver left
    assert 0 <= on_its_way < 1000
    latency = figures["latency_ms"]
    assert latency["send"]["p50"] > 0
    assert latency["wire"]["p50"] >= DELAY_MS
    assert latency["receive"]["p50"] > 0
    assert latency["total"]["p50"] >= DELAY_MS
    assert figures["psnr_y_db"] > 25
    assert figures["psnr_y_db"] == pytest.approx(figures["psnr_y_lanczos_db"], abs=2)


def test_a_sender_that_fails_is_told_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"the sender failed: .*--bitrate"):
        measure_live(
            LiveRun(
                name="gradient",
                clip=_clip(5),
                frame_rate=15,
                size=SIZE,
                lr_size=None,
                bitrate_bps=1,
                model="lanczos",
            )
        )


def test_a_clip_smaller_than_the_output_is_refused() -> None:
    with pytest.raises(ConfigError, match="smaller than the output"):
        measure_live(
            LiveRun(
                name="gradient",
                clip=_clip(5),
                frame_rate=15,
                size=Size(width=1280, height=720),
                lr_size=None,
                bitrate_bps=100_000,
            )
        )
