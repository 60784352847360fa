import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.same_rung import compare, main, means


def point(coding: str, bps: int, quality: float, **others: object) -> dict[str, Any]:
    return {
        "kind": "restored",
        "coding": coding,
        "model": "live-xs-x2",
        "rung": "360p",
        "clip": "a",
        "wire_bps": bps,
        "quality": {"psnr_y_db": quality, "vmaf_neg": 2 * quality},
        **others,
    }


def points() -> list[dict[str, Any]]:
    """AV1 takes 0.4 times the bits; other kinds, models and rungs are beside them."""
    rates = [(60_000, 30.0), (120_000, 33.0), (240_000, 36.0), (480_000, 39.0)]
    found = [point("h264", bps, db) for bps, db in rates]
    found += [point("av1", round(0.4 * bps), db) for bps, db in rates]
    found += [point("av1", bps, 1.0, kind="lanczos") for bps, _ in rates]
    found += [point("av1", bps, 1.0, model="live-m-x2") for bps, _ in rates]
    return [*found, *(point("av1", bps, db, rung="180p") for bps, db in rates)]


def test_bits_for_the_same_restored_picture_are_compared_rung_by_rung() -> None:
    rows = {(row.rung, row.metric): row for row in compare(points())}
    for metric in ("psnr_y_db", "vmaf_neg"):
        assert rows["360p", metric].percent == pytest.approx(-60, abs=0.5)
        assert rows["180p", metric].percent is None
        assert rows["180p", metric].reason
    told = {
        (rung, metric): (mean, count) for rung, metric, mean, count, _ in means(list(rows.values()))
    }
    assert told["180p", "vmaf_neg"] == (None, 0)
    assert told["360p", "vmaf_neg"][1] == 1


def test_the_command_reads_results_and_says_what_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, rows = tmp_path / "results.json", tmp_path / "rows.json"
    path.write_text(json.dumps({"settings": {"output_size": "720p"}, "points": points()}))
    assert main([str(path), "--json", str(rows)]) == 0
    assert "360p vmaf_neg  mean over 1 of 1 clips: -60" in capsys.readouterr().out
    assert len(json.loads(rows.read_text())["figures"]["rows"]) == 4
    path.write_text("{}")
    assert main([str(path)]) == 2
    assert "holds no results" in capsys.readouterr().err
