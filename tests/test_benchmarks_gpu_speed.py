from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import gpu_speed
from stream.frame import Size
from tests.tiny_artefact import write_tiny_artefact


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_speed, "OUTPUTS", (Size(width=64, height=48),))
    monkeypatch.setattr(gpu_speed, "STREAM_COUNTS", (1, 2))
    monkeypatch.setattr(gpu_speed, "STREAM_SECONDS", 0.2)


def test_rows_are_written_one_by_one_and_not_measured_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artefact, out = write_tiny_artefact(tmp_path / "tiny-x2"), tmp_path / "gpu.json"
    command = ["--out", str(out), "--models", str(artefact.folder), "--frames", "8"]
    command += ["--backends", "onnxruntime cpu f32"]
    assert gpu_speed.main(command) == 0
    rows = json.loads(out.read_text())["rows"]
    latency, streams = rows
    assert (latency["kind"], latency["model"], latency["lr_size"]) == (
        "latency",
        "tiny-x2",
        "32x24",
    )
    assert 0 < latency["p50_ms"] <= latency["p95_ms"]
    assert latency["plain_window_p50_ms"] > 0
    assert streams["kind"] == "streams"
    assert {trial["streams"] for trial in streams["trials"]} <= {1, 2}

    def again(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(gpu_speed, "time_backend", again)
    monkeypatch.setattr(gpu_speed, "count_streams", again)
    assert gpu_speed.main(command) == 0
    assert json.loads(out.read_text())["rows"] == rows


def test_a_backend_that_is_not_here_is_a_row_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decoder.backends.contract.NVIDIA_DRIVER", tmp_path / "none")
    artefact, out = write_tiny_artefact(tmp_path / "tiny-x2"), tmp_path / "gpu.json"
    command = ["--out", str(out), "--models", str(artefact.folder), "--backends", "torch eager f32"]
    assert gpu_speed.main([*command, "--no-streams"]) == 0
    (row,) = json.loads(out.read_text())["rows"]
    assert "needs an NVIDIA GPU" in row["refused"]


def test_ratios_are_to_eager_float32(tmp_path: Path) -> None:
    results = gpu_speed.Results(tmp_path / "gpu.json")
    place = {"model": "m", "lr_size": "64x48"}
    results.add("latency", place | {"backend": "torch eager f32"}, lambda: {"p50_ms": 8.0})
    results.add("latency", place | {"backend": "tensorrt f16"}, lambda: {"p50_ms": 1.0})
    results.compare()
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    assert [row["times_eager_f32"] for row in rows] == [1.0, 8.0]
