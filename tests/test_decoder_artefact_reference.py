from dataclasses import replace
from pathlib import Path

import pytest

from decoder.artefact import REFERENCE_FILE, Artefact
from decoder.artefact_reference import quantiser_input
from stream.errors import ModelMismatch
from tests.tiny_artefact import textured_frame, write_tiny_artefact


@pytest.fixture
def artefact(tmp_path: Path) -> Artefact:
    return write_tiny_artefact(tmp_path / "tiny-x2")


def test_graphs_take_the_quantiser_as_a_share_of_the_coarsest() -> None:
    assert quantiser_input(textured_frame(0, quantiser=51.0)).tolist() == [1.0]
    assert quantiser_input(textured_frame(0, quantiser=0.0)).tolist() == [0.0]
    assert quantiser_input(textured_frame(0, quantiser=None)).tolist() == [-1.0]


def test_a_reference_for_another_window_is_refused(artefact: Artefact) -> None:
    larger = replace(artefact, manifest=replace(artefact.manifest, window=5))
    with pytest.raises(ModelMismatch, match="window of 5"):
        larger.reference()


def test_a_reference_that_is_not_an_archive_is_refused(artefact: Artefact) -> None:
    (artefact.folder / REFERENCE_FILE).write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(ModelMismatch, match="usable reference"):
        artefact.reference()


def test_unknown_and_known_quantisers_survive_the_reference_file(artefact: Artefact) -> None:
    found = [frame.quantiser for frame in artefact.reference().frames]
    assert found[0] is None
    assert found[1:] == pytest.approx([20.0, 51.0], abs=1e-5)
