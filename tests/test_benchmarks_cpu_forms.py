"""Forms of a model that are not in use are compared with the one that is."""

import json
from pathlib import Path

import pytest

from benchmarks import cpu_forms


def test_every_form_that_can_be_opened_restores_the_same_picture(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    models = ["live-xs-x2", "live-xxs-x2"]
    path = tmp_path / "forms.json"
    arguments = [*models, "--lr-size", "64x48", "--rounds", "3", "--json", str(path)]
    assert cpu_forms.main(arguments) == 0
    rows = {
        (row["model"], row["form"]): row for row in json.loads(path.read_text())["figures"]["rows"]
    }
    assert {form for model, form in rows if model == models[0]} >= {
        *("used", "onnxruntime", "plain", "deformable")
    }
    assert {form for model, form in rows if model == models[1]} == {
        *("used", "onnxruntime", "plain", "int8")
    }
    for row in rows.values():
        assert row["cpu_ms"] > 0
        assert abs(row["lost_db"]) < 0.1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[-len(rows) :]] == [list(place) for place in rows]
