from pathlib import Path

import pytest

from benchmarks.bandwidth.codings import small_coding
from benchmarks.bandwidth.models import chosen_models
from benchmarks.bandwidth.points import PointMaker
from benchmarks.bandwidth.store import Store
from benchmarks.coding_options import METRICS, Row, main, means, measure
from stream.frame import Size
from tests.bench_clips import SIZE, bench_clip, moving_frames

pytestmark = pytest.mark.timeout(300)  # many small processes, which a busy machine starts late


def test_an_option_that_wastes_bits_is_found_out_after_restoration(tmp_path: Path) -> None:
    maker = PointMaker(Store(tmp_path / "store"), backend="auto", threads=0)
    rows = list(
        measure(
            maker,
            bench_clip(tmp_path, moving_frames(10)),
            coding=small_coding("h264"),
            box=Size(width=SIZE.width // 2, height=SIZE.height // 2),
            variants=[("cabac=0", "8x8dct=0"), ("qpmin=14",)],
            bitrates=[100_000, 200_000, 400_000],
            models=chosen_models((), backend="auto"),
        )
    )
    maker.close()
    assert [row.metric for row in rows] == [*METRICS, *METRICS]
    wasteful, usual = rows[:2], rows[2:]
    assert all(row.percent is not None and row.percent > 3 for row in wasteful)
    assert [row.percent for row in usual] == [0, 0]
    assert rows[0].options == "cabac=0,8x8dct=0"
    assert rows[0].size == "216x120"


def test_means_leave_out_what_cannot_be_told_and_say_so() -> None:
    row = Row(options="x", clip="a", size="s", metric="psnr_y_db", percent=-4.0, reason="")
    other = Row(options="x", clip="b", size="s", metric="psnr_y_db", percent=1.0, reason="")
    none = Row(options="x", clip="c", size="s", metric="psnr_y_db", percent=None, reason="no")
    assert list(means([row, other, none])) == ["x psnr_y_db: -1.5 % (worst +1.0 %), 2 of 3"]
    assert list(means([none])) == ["x psnr_y_db: cannot be told, 0 of 1"]


def test_a_clip_that_is_missing_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["missing.mp4", "--option", "tune=2", "--out", str(tmp_path)]) == 2
    assert "missing.mp4" in capsys.readouterr().err
