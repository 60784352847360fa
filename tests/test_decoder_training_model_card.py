from __future__ import annotations

import json
from pathlib import Path

import pytest

from decoder.artefact import list_artefacts
from decoder.training.model_card import CARD_FILE, Evaluation, model_card
from stream.errors import ConfigError

RESULTS = Path("benchmarks/results/restoration.json")
SHIPPED = {artefact.manifest.name: artefact for artefact in list_artefacts()}
MEASURED = ("live-xs-x2", "live-xs-x4")


@pytest.mark.parametrize("name", MEASURED)
def test_the_card_of_a_shipped_model_holds_the_measured_figures(name: str) -> None:
    artefact = SHIPPED[name]
    written = (artefact.folder / CARD_FILE).read_text(encoding="utf-8")
    assert written == model_card(artefact, Evaluation.read(RESULTS, artefact)), (
        f"write it anew: edvr-model card {name} --results {RESULTS}"
    )
    assert artefact.manifest.trained_on in written
    assert "CC BY 3.0" in written


def test_every_shipped_model_has_a_card() -> None:
    assert all((artefact.folder / CARD_FILE).is_file() for artefact in SHIPPED.values())


def test_figures_of_other_weights_are_refused(tmp_path: Path) -> None:
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    for row in kept["scores"]:
        row["version"] = "0"
    older = tmp_path / "older.json"
    older.write_text(json.dumps(kept))
    with pytest.raises(ConfigError, match=r"older.json: live-xs-x2 version . is wanted, .* 0$"):
        Evaluation.read(older, SHIPPED["live-xs-x2"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read"),
        ("{", "is not what edvr-model eval --json writes"),
        ("[]", "is not what edvr-model eval --json writes"),
        ('{"scores": [], "means": [], "bd_rates": [], "worst": {}}', "but it is not in it"),
    ],
)
def test_what_is_no_evaluation_is_refused(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        Evaluation.read(path, SHIPPED["live-xs-x2"])
