import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.rate_control import Row, bd_rates, main, summary
from stream.frame import Size
from tests.marked_pictures import write_marked


def row(codec: str, target_bps: int, psnr_y_db: float, vmaf_neg: float | None = None) -> Row:
    return Row(
        clip="a",
        size="160x90",
        codec=codec,
        target_bps=target_bps,
        mean=1.0,
        busiest_second=1.0,
        psnr_y_db=psnr_y_db,
        vmaf_neg=2 * psnr_y_db if vmaf_neg is None else vmaf_neg,
        cores=0.1,
        keyframes=1,
        mean_qp=30.0,
        needs_no_more=False,
    )


def test_half_the_bits_for_the_same_quality_is_minus_50_percent() -> None:
    points = [(60_000, 30.0), (120_000, 33.0), (240_000, 36.0), (480_000, 39.0)]
    rows = [row("h264", bps, db) for bps, db in points]
    rows += [row("av1", bps // 2, db) for bps, db in points]
    (found,) = bd_rates(rows)
    assert found["bd_rate_psnr_y_db_percent"] == pytest.approx(-50, abs=0.5)
    assert found["bd_rate_vmaf_neg_percent"] == pytest.approx(-50, abs=0.5)
    assert bd_rates(rows[:6]) == []


def test_what_needs_no_more_bits_is_not_counted_as_off_its_rate() -> None:
    rows = [row("av1", 60_000, 40.0), replace(row("av1", 100_000, 45.0), mean=0.9)]
    rows.append(replace(rows[1], mean=0.6, needs_no_more=True, busiest_second=1.2))
    text = summary(rows)
    assert "within 5 % in 1 of 2, off by 5.0 %" in text
    assert "1 more need no more bits" in text
    assert "busiest second 1.200, above 1.1 in 1" in text


def test_qualities_that_have_nothing_in_common_have_no_bd_rate() -> None:
    points = [(60_000, 30.0), (120_000, 33.0), (240_000, 36.0), (480_000, 39.0)]
    rows = [row("h264", bps, db, vmaf_neg=db) for bps, db in points]
    rows += [row("av1", bps, db, vmaf_neg=db + 50) for bps, db in points]
    (found,) = bd_rates(rows)
    assert found["bd_rate_psnr_y_db_percent"] == pytest.approx(0, abs=0.5)
    assert found["bd_rate_vmaf_neg_percent"] is None


def test_a_clip_is_measured_with_both_codecs(tmp_path: Path) -> None:
    clip = write_marked(tmp_path / "clip.mp4", sizes=[Size(width=320, height=180)] * 50)
    arguments = [str(clip), "--size", "160x90", "--bitrate", "100k"]
    assert main([*arguments, "--json", str(tmp_path / "rates.json")]) == 0
    rows = json.loads((tmp_path / "rates.json").read_text())["figures"]["rows"]
    assert [(each["codec"], each["size"]) for each in rows] == [
        ("h264", "160x90"),
        ("av1", "160x90"),
    ]
    for each in rows:
        assert each["busiest_second"] <= 1.1
        assert each["psnr_y_db"] > 25
        assert 30 < each["vmaf_neg"] <= 100


def test_a_clip_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["missing.mp4"]) == 2
    assert "missing.mp4" in capsys.readouterr().err
