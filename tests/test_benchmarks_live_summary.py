from typing import Any

import pytest

from benchmarks.bandwidth.config import BandwidthConfig
from benchmarks.live.bandwidth_live import sweep_of
from benchmarks.live.point import DIRECT
from benchmarks.live.summary import LANCZOS, RESTORED, live_curves, live_rows


def _run(
    model: str,
    bps: float,
    db: float | None,
    *,
    lanczos_db: float | None = None,
    codec: str = "H264",
) -> dict[str, Any]:
    return {
        "clip": "a",
        "model": model,
        "codec": codec,
        "lr_size": "1280x720" if model == DIRECT else "640x360",
        "video_bps": bps,
        "psnr_y_db": db,
        "psnr_y_lanczos_db": lanczos_db,
        "frames": 100,
        "frames_late": 1,
        "frames_dropped": 2,
    }


def _runs() -> list[dict[str, Any]]:
    """Restored needs half the bits of direct HD for the same quality, Lanczos as many."""
    runs = []
    for step in range(5):
        db, bps = 28 + 2 * step, 100_000 * 2**step
        runs.append(_run(DIRECT, 2 * bps, db))
        runs.append(_run("live-xs-x2", bps, db, lanczos_db=db - 2))
    return runs


def test_bits_are_compared_at_the_quality_that_was_seen() -> None:
    heading, restored, lanczos, frames = live_rows(_runs())
    assert heading[1] == "BD-rate, PSNR-Y"
    assert restored == ("H264, restored", "-50.0 %", "1 of 1")
    assert float(lanczos[1].split()[0]) == pytest.approx(0, abs=0.5)
    assert frames[1:] == ("30 of 1000", "10 runs")


def test_each_codec_is_held_against_direct_hd_of_its_own() -> None:
    cheaper = [run | {"codec": "AV1", "video_bps": run["video_bps"] / 2} for run in _runs()]
    rows = live_rows([*_runs(), *cheaper])
    assert [row[:2] for row in rows if "restored" in row[0]] == [
        ("AV1, restored", "-50.0 %"),
        ("H264, restored", "-50.0 %"),
    ]


def test_a_run_in_which_nothing_came_is_no_point() -> None:
    curves = live_curves([*_runs(), _run("live-xs-x2", 50_000, None)])
    assert len(curves[RESTORED]["a"]) == 5
    assert len(curves[DIRECT]["a"]) == len(curves[LANCZOS]["a"]) == 5


def test_too_few_runs_give_a_reason_instead_of_a_figure() -> None:
    rows = live_rows(_runs()[:3])
    assert rows[1] == ("H264, restored", "too few points", "0 of 1")


def test_the_live_runs_are_those_of_the_comparison_from_file_to_file() -> None:
    config = BandwidthConfig(live=True, quick=True).as_run()
    sweep = sweep_of(config)
    assert str(sweep.size) == "1280x720"
    assert tuple(sweep.shares) == config.rungs
    assert tuple(sweep.bitrates) == config.bitrates
    assert sweep.clips == ("test:?size=1280x720&fps=25",)
    assert sweep.codecs == config.codecs
    large = sweep_of(BandwidthConfig(live=True, output_size=1080))
    assert large.clips == ("test:?size=1920x1080&fps=25",)  # large enough to be compared with
