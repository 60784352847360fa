from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bandwidth.adaptation import profile_figures, use_profile
from benchmarks.bandwidth.config import BandwidthConfig
from benchmarks.bandwidth.judge import METRICS
from benchmarks.bandwidth.points import Kind, Point, ProfiledArtefact
from benchmarks.bandwidth.report import headline_rows, markdown
from benchmarks.bandwidth.run import run_bandwidth
from benchmarks.bandwidth.summary import Family, family_curve, summarise
from decoder.artefact import find_artefact
from stream.errors import ConfigError
from tests.bench_clips import moving_frames, write_video
from tests.profiles import profile_for

pytestmark = pytest.mark.timeout(300)  # many small processes, which a busy machine starts late

RATES = (60_000, 120_000, 240_000)


class Silent:
    """A run's progress, which nobody watches."""

    def __init__(self) -> None:
        self.missing = -1

    def say(self, text: str) -> None:
        pass

    def start(self, *, total: float, kept: int, missing: int) -> None:
        self.missing = missing

    def advance(self, work: float) -> None:
        pass


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small changes of live-xs-x4 in all of its weights."""
    path = tmp_path_factory.mktemp("profile") / "match.profile"
    path.write_bytes(profile_for(find_artefact("live-xs-x4"), scale=0.01, seed=1))
    return path


@pytest.fixture(scope="module")
def config(profile: Path, tmp_path_factory: pytest.TempPathFactory) -> BandwidthConfig:
    folder = tmp_path_factory.mktemp("bandwidth")
    write_video(folder / "match.mp4", moving_frames(6))
    return BandwidthConfig(
        clips=(folder / "match.mp4",),
        output_size=240,
        codecs=("h264",),
        adapt=str(profile),
        bitrates=RATES,
        direct_bitrates=RATES[1:2],
        seconds=0.3,
        jobs=2,
        quick=True,
        out=folder / "out",
    )


@pytest.fixture(scope="module")
def results(config: BandwidthConfig) -> dict[str, Any]:
    return run_bandwidth(config, Silent())


def _of(results: dict[str, Any], kind: Kind, rung: str) -> list[dict[str, Any]]:
    return [p for p in results["points"] if (p["kind"], p["rung"]) == (kind, rung)]


def test_a_profile_restores_the_same_bits_beside_its_model(results: dict[str, Any]) -> None:
    adapted, restored = _of(results, "adapted", "60p"), _of(results, "restored", "60p")
    assert not _of(results, "adapted", "120p"), "which another model restores"
    assert [p["coded_bps"] for p in adapted] == [p["coded_bps"] for p in restored]
    assert {p["model"] for p in adapted} == {"live-xs-x4"}
    for with_it, without in zip(adapted, restored, strict=True):
        difference = with_it["quality"]["psnr_y_db"] - without["quality"]["psnr_y_db"]
        assert 0 < abs(difference) < 3


def test_what_was_measured_is_kept_and_another_profile_is_not_taken_for_it(
    config: BandwidthConfig, results: dict[str, Any], tmp_path: Path
) -> None:

    again = Silent()
    assert run_bandwidth(config, again)["points"] == results["points"]
    assert again.missing == 0

    other = tmp_path / "other.profile"
    other.write_bytes(profile_for(find_artefact("live-xs-x4"), scale=0.01, seed=2))
    changed = Silent()
    run_bandwidth(replace(config, adapt=str(other)), changed)
    assert changed.missing == len(RATES)


def test_the_report_counts_the_profiles_bits_and_says_when_they_are_saved(
    results: dict[str, Any], profile: Path
) -> None:
    told = results["profile"]
    assert told["bits"] <= 8 * profile.stat().st_size
    assert told["bits"] > 7 * profile.stat().st_size
    assert len(told["break_even"]) == len(RATES)
    text = markdown(results)
    assert f"{told['bits'] / 8000:.1f} kB, which no rate above contains" in text
    assert "small H.264, restored with the profile" in {row[0] for row in headline_rows(results)[1]}
    assert [model["name"] for model in results["models"]] == ["live-xs-x2", "live-xs-x4"]


def test_a_profile_that_cannot_be_used_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="only https"):
        BandwidthConfig(adapt="http://example.org/a.profile")
    with pytest.raises(ConfigError, match="cannot read profile"):
        run_bandwidth(BandwidthConfig(adapt=str(tmp_path / "none"), out=tmp_path), Silent())


def _point(kind: Kind, size: str, model: str | None, kilobits: float, quality: float) -> Point:
    return Point(
        clip="a",
        kind=kind,
        coding="h264",
        size=size,
        rung=size,
        model=model,
        target_bps=round(1000 * kilobits),
        coded_bps=round(1000 * kilobits),
        wire_bps=round(1000 * kilobits) + 8000,
        frames=10,
        keyframes=0,
        quality=dict.fromkeys(METRICS, quality),
        crop="",
    )


def _points() -> list[Point]:
    """With the profile live-xs-x4 needs half the bits; larger pictures are another model's."""
    found = []
    for step in range(4):
        bits, quality = 100.0 * 2**step, 25.0 + 3 * step
        found.append(_point("lanczos", "320x180", None, 2 * bits, quality))
        found.append(_point("restored", "320x180", "live-xs-x4", bits, quality))
        found.append(_point("adapted", "320x180", "live-xs-x4", bits / 2, quality))
        found.append(_point("restored", "640x360", "live-xs-x2", 4 * bits, quality + 20))
    return found


def test_the_adapted_family_has_other_models_where_the_profile_is_not_theirs() -> None:
    curve = family_curve(_points(), Family(kind="adapted", coding="h264"), "a", "psnr_y_db")

    assert (curve[0].bps, curve[0].quality) == (50_000, 25)
    assert (curve[-1].bps, curve[-1].quality) == (3_200_000, 54)
    assert all(point.bps != 100_000 or point.quality > 25 for point in curve)
    rows = summarise(_points(), clips=["a"])["metrics"]["psnr_y_db"]["bd_rate"]
    assert ("adapted h264", "restored h264") in {(row["test"], row["anchor"]) for row in rows}


def test_a_profile_has_paid_for_itself_when_it_saved_its_own_bits(profile: Path) -> None:
    used = use_profile(str(profile))
    assert isinstance(used.artefact, ProfiledArtefact)

    rows = profile_figures(used, _points(), clips=["a"])["break_even"]

    assert [row["bps"] for row in rows] == [100_000, 200_000, 400_000, 800_000]
    assert [row["adapted_bps"] for row in rows] == [50_000, 100_000, 200_000, 400_000]
    assert rows[0]["seconds"] == pytest.approx(used.bits / 50_000, abs=0.1)
    same = [p for p in _points() if p.kind != "adapted"]
    assert all(r["seconds"] is None for r in profile_figures(used, same, clips=["a"])["break_even"])
