import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.live import sweep as sweep_module
from benchmarks.live.clip import read_clip
from benchmarks.live.point import LiveRun
from benchmarks.live.sweep import LiveSweep, load_figures, planned, run_sweep
from stream.frame import Size

SWEEP = LiveSweep(
    clips=("test:?size=320x180&fps=10",),
    size=Size(width=320, height=180),
    shares=(1 / 4, 1 / 2),
    bitrates=(50_000, 100_000),
    direct_bitrates=(200_000,),
    seconds=0.5,
)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[LiveRun]:
    """The runs that were made; each only notes what it was asked for."""
    made: list[LiveRun] = []

    def note(run: LiveRun) -> dict[str, Any]:
        made.append(run)
        return {"target_bps": run.bitrate_bps, "model": run.model}

    monkeypatch.setattr(sweep_module, "measure_live", note)
    return made


def test_every_size_meets_every_rate_and_the_full_picture_its_own() -> None:
    found = [(str(run.travels), run.bitrate_bps) for run in planned(SWEEP)]
    assert found == [
        ("80x44", 50_000),
        ("80x44", 100_000),
        ("160x90", 50_000),
        ("160x90", 100_000),
        ("None", 200_000),
    ]


def test_what_is_there_already_is_not_run_again(tmp_path: Path, runs: list[LiveRun]) -> None:
    files = run_sweep(SWEEP, tmp_path, lambda *_: None)
    assert [run.model for run in runs] == ["auto"] * 4 + ["direct"]
    assert len(runs[0].clip) == 5
    assert [each["target_bps"] for each in load_figures(files)][-1] == 200_000
    files[2].unlink()
    assert run_sweep(SWEEP, tmp_path, lambda *_: None) == files
    assert len(runs) == 6
    assert json.loads(files[2].read_text())["benchmark"] == "latency"
    assert list(tmp_path.glob("*.part")) == []


def test_another_setting_is_another_run(tmp_path: Path, runs: list[LiveRun]) -> None:
    first = run_sweep(SWEEP, tmp_path, lambda *_: None)
    other = run_sweep(replace(SWEEP, models=("live-xs-x2",)), tmp_path, lambda *_: None)
    assert set(first) & set(other) == {first[-1]}  # the full picture has no model


def test_each_model_restores_the_sizes_that_it_enlarges_to_the_output() -> None:
    both = replace(
        SWEEP,
        size=Size(width=1280, height=720),
        models=("live-xs-x2", "live-xs-x4"),
        codecs=("h264", "av1"),
    )
    found = [(run.codec, run.model, str(run.travels)) for run in planned(both)]
    assert list(dict.fromkeys(found)) == [
        (codec, *rest)
        for codec in ("h264", "av1")
        for rest in (
            ("live-xs-x4", "320x180"),
            ("live-xs-x2", "640x360"),
            ("direct", "None"),
        )
    ]


def test_a_changed_model_is_another_run(
    tmp_path: Path, runs: list[LiveRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_sweep(SWEEP, tmp_path, lambda *_: None)
    monkeypatch.setattr(sweep_module, "model_digest", lambda _: "another")
    other = run_sweep(SWEEP, tmp_path, lambda *_: None)
    assert set(first) & set(other) == {first[-1]}


def test_a_folder_of_pictures_is_a_clip_too(tmp_path: Path) -> None:
    for index in range(3):
        Image.new("RGB", (320, 180), (40 * index, 90, 90)).save(tmp_path / f"{index}.png")
    name, frames, frame_rate = read_clip(str(tmp_path), seconds=0.05)
    assert (name, len(frames), frame_rate) == (tmp_path.name, 2, 30.0)
    assert frames[0].size == Size(width=320, height=180)


def test_progress_is_told(tmp_path: Path, runs: list[LiveRun]) -> None:
    told: list[tuple[int, int]] = []
    run_sweep(SWEEP, tmp_path, lambda _, done, total: told.append((done, total)))
    assert told == [(index, 5) for index in range(6)]
