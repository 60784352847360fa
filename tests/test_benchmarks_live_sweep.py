import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.live import sweep as sweep_module
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
    other = run_sweep(replace(SWEEP, model="lanczos"), tmp_path, lambda *_: None)
    assert set(first) & set(other) == {first[-1]}  # the full picture has no model


def test_progress_is_told(tmp_path: Path, runs: list[LiveRun]) -> None:
    told: list[tuple[int, int]] = []
    run_sweep(SWEEP, tmp_path, lambda _, done, total: told.append((done, total)))
    assert told == [(index, 5) for index in range(6)]
