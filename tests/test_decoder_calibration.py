from __future__ import annotations

from pathlib import Path

import pytest

from decoder import calibration_cache
from decoder.artefact import Artefact
from decoder.backends.contract import AutoConfig, OnnxRuntimeConfig, OpenVinoConfig
from decoder.calibrate import calibrate, is_complete, usual_lr_sizes
from decoder.calibration import Calibration, Measurement, artefact_key, stream_capacity
from decoder.calibration_cache import load_calibration, machine_key, save_calibration
from decoder.calibration_report import calibration_lines
from decoder.cli import app
from decoder.config import RestorerConfig
from decoder.restorer import Restorer
from decoder.tier_choice import choose_tiers, tier_costs_ms
from stream.command_line import run_command
from stream.frame import Size
from tests.tiny_artefact import textured_frame, write_tiny_artefact

HR, LR = Size(width=64, height=48), Size(width=32, height=24)
CONFIG = RestorerConfig(size=HR)


@pytest.fixture
def models(tmp_path: Path) -> list[Artefact]:
    return [
        write_tiny_artefact(tmp_path / f"{tier}-x2", tier=tier)
        for tier in ("live-m", "live-s", "live-xs")
    ]


def _measured(model: Artefact, backend: str, p50_ms: float, p95_ms: float) -> Measurement:
    return Measurement(
        model=model.manifest.name,
        key=artefact_key(model),
        backend=backend,
        threads=0,
        lr_size=str(LR),
        p50_ms=p50_ms,
        p95_ms=p95_ms,
    )


@pytest.fixture
def known(models: list[Artefact]) -> Calibration:
    """live-m is too slow everywhere, live-s fits on one backend only, live-xs on both."""
    live_m, live_s, live_xs = models
    rows = (
        _measured(live_m, "openvino", 24.0, 29.0),
        _measured(live_s, "openvino", 26.0, 40.0),
        _measured(live_s, "onnxruntime", 27.0, 28.0),
        _measured(live_xs, "openvino", 6.0, 7.0),
        _measured(live_xs, "onnxruntime", 12.0, 14.0),
    )
    return Calibration(measurements=rows)


def test_the_best_tier_that_leaves_a_third_of_the_time_is_taken_on_its_fastest_backend(
    models: list[Artefact], known: Calibration
) -> None:
    chosen = choose_tiers(CONFIG, models, known, lr_size=LR, hr_size=HR)
    assert [(each.artefact.manifest.tier, each.backend) for each in chosen] == [
        ("live-s", OnnxRuntimeConfig()),
        ("live-xs", OpenVinoConfig()),
    ]
    assert tier_costs_ms(chosen, known, LR) == {"live-s-x2": 27.0, "live-xs-x2": 6.0}


def test_where_no_tier_keeps_up_a_stream_begins_with_the_cheapest_network(
    models: list[Artefact],
) -> None:
    slow = Calibration(
        measurements=tuple(
            _measured(model, "openvino", ms, 1.2 * ms)
            for model, ms in zip(models, (90.0, 60.0, 30.0), strict=True)
        )
    )
    (chosen,) = choose_tiers(CONFIG, models, slow, lr_size=LR, hr_size=HR)
    assert (chosen.artefact.manifest.tier, chosen.cost_ms) == ("live-xs", 30.0)
    unknown = Calibration(measurements=slow.measurements[:2])  # the cheapest was not measured
    assert unknown.best_tier(models, lr_size=LR, hr_size=HR, threads=0) is None


@pytest.mark.parametrize(("int8_ms", "backend"), [(8.0, "openvino-int8"), (8.6, "openvino")])
def test_8_bits_are_taken_only_where_they_save_much(
    models: list[Artefact], int8_ms: float, backend: str
) -> None:
    rows = (
        _measured(models[0], "openvino", 9.0, 10.0),
        _measured(models[0], "openvino-int8", 7.0, int8_ms),
        _measured(models[0], "onnxruntime", 12.0, 13.0),
    )
    known = Calibration(measurements=rows)
    fastest = known.fastest(models[0], LR, threads=0)
    assert fastest is not None
    assert fastest.backend == backend
    asked_for = known.fastest(models[0], LR, threads=0, backend="openvino-int8")
    assert asked_for == rows[1]


def test_before_anything_was_measured_it_is_the_default_tier_by_trial(
    models: list[Artefact],
) -> None:
    (chosen,) = choose_tiers(CONFIG, models, Calibration(), lr_size=LR, hr_size=HR)
    assert (chosen.artefact.manifest.tier, chosen.backend) == ("live-xs", AutoConfig())
    assert chosen.cost_ms is None


def test_a_backend_that_was_asked_for_is_kept_and_only_its_figures_count(
    models: list[Artefact], known: Calibration
) -> None:
    config = RestorerConfig(size=HR, backend="openvino")
    chosen = choose_tiers(config, models, known, lr_size=LR, hr_size=HR)
    assert [(each.artefact.manifest.tier, each.backend) for each in chosen] == [
        ("live-xs", OpenVinoConfig())
    ]


def test_figures_of_another_version_size_or_number_of_threads_do_not_count(
    models: list[Artefact], known: Calibration, tmp_path: Path
) -> None:
    other = write_tiny_artefact(tmp_path / "other" / "live-s-x2", tier="live-s", scale=4)
    assert known.fastest(models[1], LR, threads=0) is not None
    assert known.fastest(other, LR, threads=0) is None
    assert known.fastest(models[1], LR, threads=1) is None
    assert known.fastest(models[1], HR, threads=0) is None


def test_a_newer_figure_replaces_the_older_one(models: list[Artefact], known: Calibration) -> None:
    newer = known.with_measurement(_measured(models[0], "openvino", 5.0, 6.0))
    assert len(newer.measurements) == len(known.measurements)
    assert newer.best_tier(models, lr_size=LR, hr_size=HR, threads=0) == "live-m"


def test_as_many_streams_fit_as_the_cheapest_tier_leaves_time_for(
    models: list[Artefact], known: Calibration
) -> None:
    assert stream_capacity([models[2]], known, [LR], threads=0) == 4  # 28 ms of 40, 6 ms each
    assert stream_capacity([models[0]], known, [LR], threads=0) == 1
    assert stream_capacity([models[2]], Calibration(), [LR], threads=0) is None
    assert stream_capacity([], known, [], threads=0) is None


def test_what_was_measured_is_there_after_a_restart_and_damage_is_no_harm(
    known: Calibration, caplog: pytest.LogCaptureFixture
) -> None:
    assert load_calibration() == Calibration()
    save_calibration(known)
    assert load_calibration() == known
    (file,) = calibration_cache.cache_folder().glob("calibration-*.json")
    file.write_text('{"measurements": [{"model": 3}]}')
    assert load_calibration() == Calibration()
    assert "is not used" in caplog.text
    file.unlink()


def test_a_cache_that_cannot_be_written_is_only_a_line_in_the_log(
    known: Calibration,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    save_calibration(known)
    assert "is not kept" in caplog.text


def test_another_library_version_or_processor_is_another_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = machine_key()
    assert machine_key() == here
    monkeypatch.setattr(calibration_cache, "library_versions", lambda names: {"openvino": "1"})
    upgraded = machine_key()
    (tmp_path / "cpuinfo").write_text("model name\t: Another\n")
    monkeypatch.setattr(calibration_cache, "_CPUINFO", tmp_path / "cpuinfo")
    assert len({here, upgraded, machine_key()}) == 3


def test_every_backend_is_measured_and_the_table_says_what_a_stream_gets(tmp_path: Path) -> None:
    artefact = write_tiny_artefact(tmp_path / "tiny-x2")
    config = RestorerConfig(size=HR, model=str(artefact.folder), threads=1)
    assert not is_complete(config, Calibration())
    measured = calibrate(config, Calibration())
    assert is_complete(config, measured)
    found = {(each.model, each.backend, each.lr_size) for each in measured.measurements}
    sizes = [str(size) for size in usual_lr_sizes(HR)]
    assert sizes == ["32x24", "16x12"]
    assert found >= {("tiny-x2", "openvino", size) for size in sizes}
    assert {("lanczos", "swscale", size) for size in sizes} <= found
    assert all(0 < each.p50_ms <= each.p95_ms for each in measured.measurements)
    lines = calibration_lines(config, measured)
    assert "32x24 gets tiny-x2, under load lanczos" in lines
    best = measured.of(artefact, LR, threads=1)
    assert best[0].p95_ms <= min(each.p95_ms for each in best)


def test_measuring_ends_when_told_and_keeps_what_it_has(tmp_path: Path) -> None:
    artefact = write_tiny_artefact(tmp_path / "tiny-x2")
    config = RestorerConfig(size=HR, model=str(artefact.folder), threads=1)
    stopped = calibrate(config, Calibration(), is_stopped=lambda: True)
    assert {each.model for each in stopped.measurements} == {"lanczos"}
    late = calibrate(config, Calibration(), budget_s=0.0)
    assert {each.model for each in late.measurements} == {"lanczos"}
    (line,) = (line for line in calibration_lines(config, late) if line.startswith("32x24 gets"))
    assert line.startswith("32x24 gets tiny-x2, under load lanczos; it was not measured in time")


def test_a_model_that_computes_nonsense_here_is_refused_once_a_backend(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = write_tiny_artefact(tmp_path / "broken-x2", is_broken=True)
    config = RestorerConfig(size=HR, model=str(broken.folder), threads=1)
    measured = calibrate(config, Calibration())
    assert {each.model for each in measured.measurements} == {"lanczos"}
    assert caplog.text.count("openvino is not used for broken-x2") == 1


def test_a_calibrated_backend_that_no_longer_works_is_replaced_by_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artefact = write_tiny_artefact(tmp_path / "tiny-x2")
    config = RestorerConfig(size=HR, model=str(artefact.folder))
    known = Calibration(measurements=(_measured(artefact, "openvino", 1.0, 1.0),))
    restorer = Restorer(config, calibration=known)  # has checked the files by now
    artefact.fuse_path("grid_sample").write_bytes(b"not a graph")  # OpenVINO's form of it
    restorer.push(textured_frame(0, width=32, height=24))
    assert restorer.backend_name == "onnxruntime f32"
    assert "trying the other backends: openvino cannot open the graph" in caplog.text
    restorer.close()


def test_the_command_prints_the_table_and_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artefact = write_tiny_artefact(tmp_path / "tiny-x2")
    command = ["--calibrate", "--model", str(artefact.folder), "--size", "64x48", "--threads", "1"]
    assert run_command(app, command) == 0
    shown = capsys.readouterr().out
    assert "tiny-x2" in shown
    assert "32x24 gets tiny-x2" in shown
    assert load_calibration().fastest(artefact, LR, threads=1) is not None
