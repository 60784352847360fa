from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from collections import Counter
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page
from rich.console import Console

from benchmarks.bandwidth import points as points_module
from benchmarks.bandwidth.command import ProgressLines
from benchmarks.bandwidth.config import BandwidthConfig
from benchmarks.bandwidth.judge import METRICS, Quality, judge
from benchmarks.bandwidth.models import models_for
from benchmarks.bandwidth.points import PointMaker, Task
from benchmarks.bandwidth.report import headline_rows, load_results, write_report
from benchmarks.bandwidth.run import check_libraries, run_bandwidth, rung_sizes
from decoder.artefact import MODELS_FOLDER, find_artefact, list_artefacts
from stream.errors import BackendUnavailable, CodecError, ConfigError
from stream.frame import Size
from tests.bench_clips import moving_frames, write_video
from tests.chromium import chromium

pytestmark = pytest.mark.timeout(300)  # many small processes, which a busy machine starts late

RATES = (60_000, 120_000, 240_000)


class Heard:
    """What a run said about its progress."""

    def __init__(self) -> None:
        self.kept = self.missing = 0
        self.total = self.done = 0.0

    def say(self, text: str) -> None:
        assert text

    def start(self, *, total: float, kept: int, missing: int) -> None:
        self.total, self.kept, self.missing = total, kept, missing

    def advance(self, work: float) -> None:
        self.done += work


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> BandwidthConfig:
    """Two small clips at three rates, with own copies of the models."""
    folder = tmp_path_factory.mktemp("bandwidth")
    clips = folder / "clips"
    clips.mkdir()
    for seed, name in enumerate(("one", "two")):
        write_video(clips / f"{name}.mp4", moving_frames(6, seed=seed))
    models = []
    for name in ("live-xs-x2", "live-xs-x4"):
        shutil.copytree(MODELS_FOLDER / name, folder / name)
        models.append(str(folder / name))
    return BandwidthConfig(
        clips=(clips,),
        output_size=240,
        models=tuple(models),
        codecs=("h264",),
        bitrates=RATES,
        direct_bitrates=RATES,
        seconds=0.3,
        jobs=2,
        quick=True,  # fewer sizes and encoders; the rates are those above
        out=folder / "out",
    )


@pytest.fixture(scope="module")
def results(config: BandwidthConfig) -> dict[str, Any]:
    heard = Heard()
    found = run_bandwidth(config, heard)
    assert (heard.kept, heard.missing) == (0, len(found["points"]))
    assert heard.done == pytest.approx(heard.total)
    return found


def test_every_family_is_measured_at_every_size_and_rate(results: dict[str, Any]) -> None:
    found = Counter(
        (p["clip"], p["kind"], p["coding"], p["rung"], p["model"]) for p in results["points"]
    )
    expected = {
        (clip, kind, coding, rung, model): len(RATES)
        for clip in ("one", "two")
        for kind, coding, rung, model in (
            ("direct", "x264-veryfast", "240p", None),
            ("direct", "sender-av1", "240p", None),
            ("lanczos", "h264", "60p", None),
            ("lanczos", "h264", "120p", None),
            ("restored", "h264", "60p", "live-xs-x4"),
            ("restored", "h264", "120p", "live-xs-x2"),
        )
    }
    assert found == expected
    for point in results["points"]:
        assert set(point["quality"]) == set(METRICS)
        assert point["frames"] == 6
        assert 0 < point["coded_bps"] < point["wire_bps"]


def test_restored_and_lanczos_are_made_of_the_same_bits(results: dict[str, Any]) -> None:
    bits = {
        kind: [
            (p["clip"], p["rung"], p["target_bps"], p["coded_bps"])
            for p in results["points"]
            if p["kind"] == kind
        ]
        for kind in ("lanczos", "restored")
    }
    assert bits["lanczos"] == bits["restored"]


def test_each_family_is_held_against_each_direct_one_and_its_own_lanczos(
    results: dict[str, Any],
) -> None:
    for metric in METRICS:
        rows = results["summary"]["metrics"][metric]["bd_rate"]
        pairs = {(row["test"], row["anchor"]) for row in rows}
        for family in ("lanczos h264", "restored h264"):
            assert (family, "direct x264-veryfast") in pairs
            assert (family, "direct sender-av1") in pairs
        assert ("restored h264", "lanczos h264") in pairs
        assert all((row["mean_percent"] is None) == (row["clips_told"] == 0) for row in rows)


def test_a_finished_run_measures_nothing_again(
    config: BandwidthConfig, results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(points_module, "judge", lambda *_, **__: pytest.fail("judged again"))
    heard = Heard()
    again = run_bandwidth(config, heard)
    assert (heard.kept, heard.missing) == (len(results["points"]), 0)
    assert again == results


def test_a_changed_model_has_its_own_points_measured_again_alone(
    config: BandwidthConfig, results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Path(config.models[0]) / "model.json"
    before = manifest.read_text()
    judged: list[None] = []

    def counting(*given: Any, **named: Any) -> Quality:  # noqa: ANN401 (whatever judge takes)
        judged.append(None)
        return judge(*given, **named)

    monkeypatch.setattr(points_module, "judge", counting)
    manifest.write_text(before.replace('"version": "', '"version": "9'))
    try:
        heard = Heard()
        changed = run_bandwidth(config, heard)
    finally:
        manifest.write_text(before)
    assert heard.missing == len(judged) == 2 * len(RATES)  # one size of two clips
    assert [p["quality"] for p in changed["points"]] == [p["quality"] for p in results["points"]]


def test_a_failing_run_keeps_what_it_finished_and_goes_on_there(
    config: BandwidthConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, calls = PointMaker.make, []

    def fails_at_third(self: PointMaker, task: Task) -> object:
        calls.append(task)
        if len(calls) == 3:
            raise CodecError("out of luck")
        return make(self, task)

    one = replace(config, clips=(config.clips[0] / "one.mp4",), jobs=1, out=tmp_path)
    one = replace(one, bitrates=RATES[:1], direct_bitrates=RATES[:1])
    with monkeypatch.context() as patched:
        patched.setattr(PointMaker, "make", fails_at_third)
        with pytest.raises(CodecError, match="out of luck"):
            run_bandwidth(one, Heard())
    assert not list(tmp_path.rglob("*.y4m"))
    heard = Heard()
    finished = run_bandwidth(one, heard)
    assert heard.kept >= 2
    assert heard.kept + heard.missing == len(finished["points"])
    assert heard.missing >= 3


def test_the_report_has_json_csv_markdown_and_one_page_that_needs_nothing_else(
    config: BandwidthConfig, results: dict[str, Any]
) -> None:
    page = write_report(config.out, results)
    kept = load_results(config.out / "results.json")
    assert kept["figures"]["points"] == results["points"]
    assert kept["machine"]["cores"] > 0
    with (config.out / "points.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(results["points"])
    assert float(rows[0]["vmaf_neg"]) == results["points"][0]["quality"]["vmaf_neg"]
    text = (config.out / "summary.md").read_text()
    heading, cells = headline_rows(results)
    assert all(cell in text for row in (heading, *cells) for cell in row)
    html = page.read_text()
    own = html.partition("<style>")[0] + html.rpartition("<script>")[2]
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", own)
    assert html.count("data:image/webp;base64,") >= 2 * 2 * 3


@pytest.mark.real_peer
async def test_the_page_shows_itself_on_a_desktop_and_on_a_phone(
    config: BandwidthConfig, results: dict[str, Any], tmp_path: Path
) -> None:
    latency = {name: {"p50": 10.0, "p95": 20.0, "p99": 30.0} for name in ("send", "total")}
    names = {"clip": "one", "codec": "H264", "model": "live-xs-x2", "lr_size": "216x120"}
    frames = {"frames": 9, "frames_dropped": 1, "frames_late": 0}
    bits = {"target_bps": 1000, "video_bps": 900, "wire_bps": {"all_with_ip": 1200}}
    quality = {"psnr_y_db": 30.0, "psnr_y_lanczos_db": None}
    figures = {**names, **frames, **bits, **quality, "latency_ms": latency}
    (tmp_path / "live.json").write_text(json.dumps({"figures": figures}))
    page = write_report(config.out, results, live_results=(tmp_path / "live.json",))
    async with chromium() as browser:
        for width in (1280, 390):
            tab = await browser.new_page(viewport={"width": width, "height": 800})
            assert await what_is_wrong(tab, page, width) == []
            await tab.close()


async def what_is_wrong(tab: Page, page: Path, width: int) -> list[str]:
    """Script errors, requests over a network, and what is wider than the screen."""
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("request", lambda request: wrong.append(request.url))
    await tab.goto(page.as_uri(), timeout=55_000)
    for chart in ("rd", "bd", "latency"):
        await tab.wait_for_selector(f"#{chart} .main-svg", timeout=30_000, state="attached")
    for name in ("needed", "rd", "bd", "cross"):
        await tab.select_option(f"#{name}-metric", "psnr_y_db")
    await tab.select_option("#crop-clip", "two")
    if not await tab.inner_text("#left-words"):
        wrong.append("the picture has no words")
    await tab.wait_for_function("document.getElementById('img-left').naturalWidth > 0")
    if await tab.evaluate("document.documentElement.scrollWidth") > width:
        wrong.append("wider than the screen")
    return [each for each in wrong if not each.startswith(("file:", "data:", "blob:"))]


def test_rungs_are_exact_shares_of_the_output() -> None:
    shares = (1 / 4, 1 / 2, 3 / 4)
    assert [str(s) for s in rung_sizes(Size(width=1280, height=720), shares)] == [
        "320x180",
        "640x360",
        "960x540",
    ]
    with pytest.raises(ConfigError, match="no small picture"):
        rung_sizes(Size(width=1280, height=716), (1 / 8,))


def test_a_rung_gets_the_models_that_a_receiver_would_take_there() -> None:
    models, hd = list_artefacts(), Size(width=1280, height=720)

    def names(width: int, height: int) -> set[str]:
        found = models_for(models, lr_size=Size(width=width, height=height), hr_size=hd)
        return {f"x{model.manifest.scale}" for model in found}

    assert names(320, 180) == {"x4"}
    assert names(640, 360) == {"x2"}
    assert names(960, 540) == {"x2"}
    assert names(1280, 720) == set()


def test_a_missing_library_is_named_with_what_brings_it() -> None:
    check_libraries()
    with pytest.raises(
        ConfigError, match=r"no_such_one must be installed: pip install .*\[bench\]"
    ):
        check_libraries(("json", "no_such_one"))


def test_a_missing_inference_library_is_told_before_anything_is_measured(
    config: BandwidthConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendUnavailable, match="onnxruntime"):
        run_bandwidth(replace(config, backend="onnxruntime", out=tmp_path / "out"), Heard())
    assert not (tmp_path / "out").exists()


def test_a_quick_run_takes_its_own_rates_and_length_unless_others_are_asked_for() -> None:
    quick = BandwidthConfig(quick=True).as_run()
    assert (len(quick.bitrates), len(quick.direct_bitrates), quick.seconds) == (3, 4, 2.0)
    scales = [find_artefact(name).manifest.scale for name in quick.models]
    assert sorted(scales) == [2, 4]  # one for each of its sizes
    asked = BandwidthConfig(
        quick=True, models=("mine",), bitrates=RATES, direct_bitrates=RATES, seconds=1.0
    )
    assert asked.as_run() == asked
    assert BandwidthConfig().as_run() == BandwidthConfig()


def test_without_a_terminal_progress_is_a_line_now_and_then() -> None:
    log = StringIO()
    with ProgressLines(Console(file=log), every_s=0.0) as lines:
        lines.say("timing encoders")
        lines.start(total=8.0, kept=2, missing=3)
        lines.advance(2.0)
        lines.advance(6.0)
    assert log.getvalue().splitlines() == [
        "measuring 3 points (2 are there)",
        "25 %, 0 minutes left",
        "100 %, 0 minutes left",
    ]
    patient = StringIO()
    with ProgressLines(Console(file=patient), every_s=60.0) as lines:
        lines.start(total=8.0, kept=0, missing=3)
        lines.advance(2.0)
    assert patient.getvalue().splitlines() == ["measuring 3 points"]


def test_results_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_results(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(ConfigError, match="is not a file of results"):
        load_results(tmp_path / "bad.json")
