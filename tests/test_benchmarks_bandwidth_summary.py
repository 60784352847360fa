from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bandwidth.judge import METRICS
from benchmarks.bandwidth.points import Kind, Point
from benchmarks.bandwidth.report import headline_rows, needed_rows, percent_text
from benchmarks.bandwidth.summary import summarise
from benchmarks.readme_figures import RESULTS

CLIPS = ("a", "b", "c")


def point(clip: str, kind: Kind, coding: str, rung: str, kilobits: float, quality: float) -> Point:
    return Point(
        clip=clip,
        kind=kind,
        coding=coding,
        size=rung,
        rung=rung,
        model="m" if kind == "restored" else None,
        target_bps=round(1000 * kilobits),
        coded_bps=round(1000 * kilobits),
        wire_bps=round(1000 * kilobits) + 8000,
        frames=10,
        keyframes=0,
        quality={metric: quality / 100 if metric == "ssim_y" else quality for metric in METRICS},
        crop="",
    )


def points() -> list[Point]:
    """Restoring halves the bits of Lanczos, which halves those of direct coding."""
    found = []
    for shift, clip in enumerate(CLIPS):
        for step in range(5):
            quality = 25.0 + 3 * step + shift
            direct = 200.0 * 2**step
            found.append(point(clip, "direct", "x264-veryfast", "720p", direct, quality))
            for rung, less in (("360p", 0), ("180p", 2)):
                below = quality - less
                found.append(point(clip, "lanczos", "h264", rung, direct / 2, below))
                found.append(point(clip, "restored", "h264", rung, direct / 4, below))
    return found


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return {"summary": summarise(points(), clips=CLIPS)}


def test_the_share_of_lanczos_and_of_the_network_are_told_apart(
    results: dict[str, Any],
) -> None:
    rows = results["summary"]["metrics"]["vmaf_neg"]["bd_rate"]
    told = {(row["test"], row["anchor"]): row for row in rows}
    direct = "direct x264-veryfast"
    for pair, percent in (
        (("lanczos h264", direct), -50),
        (("restored h264", direct), -75),
        (("restored h264", "lanczos h264"), -50),
    ):
        assert told[pair]["mean_percent"] == pytest.approx(percent, abs=0.1)
        assert told[pair]["clips_told"] == len(CLIPS)
    wire = results["summary"]["metrics"]["vmaf_neg"]["bd_rate_on_wire"]
    on_wire = {(row["test"], row["anchor"]): row["mean_percent"] for row in wire}
    saved = on_wire["restored h264", direct]
    assert -75 < saved < -65  # headers weigh more on small packets


def test_the_table_says_how_much_less_is_needed_and_nothing_beyond_what_was_measured(
    results: dict[str, Any],
) -> None:
    heading, rows = needed_rows(results)
    restored = heading.index("small H.264, restored")
    assert rows[0][0] == "200 kb/s"
    assert rows[0][restored] == "50 kb/s (4.0 times less)"
    heading, cells = headline_rows(results)
    assert [row[heading.index("vs Lanczos")] for row in cells if "restored" in row[0]] == [
        "-50 % (-50 to -50)"
    ] * 2


def test_a_direct_rate_that_a_family_does_not_reach_is_not_made_up() -> None:
    short = [p for p in points() if p.kind == "direct" or p.quality["vmaf"] < 30]
    _, rows = needed_rows({"summary": summarise(short, clips=CLIPS)})
    assert "told on 0 of 3 clips" in rows[-1]


def test_why_there_is_no_figure_is_said() -> None:
    clips = {"a": {"reason": "no overlap"}, "b": {"reason": "too few points"}}
    row = {"mean_percent": None, "clips": clips}
    assert percent_text(row) == "no overlap, too few points"
    assert percent_text(None) == ""


@pytest.mark.parametrize("path", sorted(RESULTS.glob("bandwidth*.json")), ids=lambda p: p.stem)
def test_the_committed_summary_follows_from_the_committed_points(path: Path) -> None:
    figures = json.loads(path.read_text())["figures"]
    given = [Point(**each) for each in figures["points"]]
    clips = [clip["name"] for clip in figures["clips"]]
    assert summarise(given, clips=clips) == figures["summary"]
