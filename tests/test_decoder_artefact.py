import json
from pathlib import Path

import pytest

from decoder.artefact import (
    GRAPH_FILES,
    MANIFEST_FILE,
    REFERENCE_FILE,
    Artefact,
    find_artefact,
    list_artefacts,
    load_artefact,
    write_artefact,
)
from stream.errors import ConfigError, ModelMismatch
from tests.tiny_artefact import write_tiny_artefact


@pytest.fixture
def artefact(tmp_path: Path) -> Artefact:
    return write_tiny_artefact(tmp_path / "tiny-x2")


def _edit_manifest(artefact: Artefact, **changes: object) -> None:
    path = artefact.folder / MANIFEST_FILE
    values = json.loads(path.read_text())
    values.update(changes)
    path.write_text(json.dumps({key: value for key, value in values.items() if value != "drop"}))


def test_an_artefact_written_is_read_back_the_same(artefact: Artefact) -> None:
    loaded = load_artefact(artefact.folder)
    assert loaded.manifest == artefact.manifest
    assert set(loaded.manifest.sha256) == {*GRAPH_FILES, REFERENCE_FILE}
    assert len(loaded.reference().frames) == 3


@pytest.mark.parametrize("name", [*GRAPH_FILES, REFERENCE_FILE])
def test_one_flipped_bit_in_any_file_is_refused(artefact: Artefact, name: str) -> None:
    data = bytearray((artefact.folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (artefact.folder / name).write_bytes(data)
    with pytest.raises(ModelMismatch, match=name):
        load_artefact(artefact.folder)


@pytest.mark.parametrize("name", [*GRAPH_FILES, REFERENCE_FILE])
def test_a_missing_file_is_refused(artefact: Artefact, name: str) -> None:
    (artefact.folder / name).unlink()
    with pytest.raises(ModelMismatch, match=name):
        load_artefact(artefact.folder)


def test_a_file_without_a_hash_is_refused(artefact: Artefact) -> None:
    _edit_manifest(artefact, sha256={})
    with pytest.raises(ModelMismatch, match="no hash"):
        load_artefact(artefact.folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": "2"}, "scale"),
        ({"scale": True}, "scale"),
        ({"scale": 0}, "scale"),
        ({"window": "drop"}, "lacks 'window'"),
        ({"lookahead": 3}, "lookahead"),
        ({"multiple_of": 3}, "even"),
        ({"codecs": "h264"}, "codecs"),
        ({"inputs": [1]}, "inputs"),
        ({"name": "../up"}, "called"),
        ({"sha256": {"../secret": "00"}}, "folder"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(
    artefact: Artefact, changes: dict[str, object], message: str
) -> None:
    _edit_manifest(artefact, **changes)
    with pytest.raises(ConfigError, match=message):
        load_artefact(artefact.folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\udcff"])
def test_a_manifest_that_is_not_a_json_object_is_refused(artefact: Artefact, text: str) -> None:
    (artefact.folder / MANIFEST_FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError):
        load_artefact(artefact.folder)


def test_keys_of_later_versions_are_ignored(artefact: Artefact) -> None:
    _edit_manifest(artefact, colour_of_the_box="blue")
    assert load_artefact(artefact.folder).manifest == artefact.manifest


def test_the_tolerance_may_be_left_to_its_default(artefact: Artefact) -> None:
    _edit_manifest(artefact, tolerance_levels="drop")
    assert load_artefact(artefact.folder).manifest.tolerance_levels == 1


def test_an_artefact_is_found_by_name_and_by_path(artefact: Artefact) -> None:
    assert find_artefact("tiny-x2", artefact.folder.parent).folder == artefact.folder
    assert find_artefact(str(artefact.folder)).folder == artefact.folder


def test_an_unknown_name_is_answered_with_the_known_ones(artefact: Artefact) -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'huge'.*auto, lanczos, tiny-x2"):
        find_artefact("huge", artefact.folder.parent)


def test_an_unreadable_model_does_not_hide_the_others(artefact: Artefact) -> None:
    broken = artefact.folder.parent / "broken"
    broken.mkdir()
    (broken / MANIFEST_FILE).write_text("{")
    names = [found.manifest.name for found in list_artefacts(artefact.folder.parent)]
    assert names == ["tiny-x2"]


def test_an_artefact_without_all_graphs_is_not_written(artefact: Artefact, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"fuse\.deform_conv\.onnx"):
        write_artefact(
            tmp_path / "half",
            artefact.manifest,
            graphs={"extract.onnx": b"", "fuse.grid_sample.onnx": b""},
            reference=artefact.reference(),
        )
    assert not (tmp_path / "half").exists()
