from pathlib import Path

import pytest

from decoder.artefact import Artefact
from decoder.training.engine import TARGETS, build_engine, default_lr_size
from stream.errors import ConfigError, ModelMismatch
from stream.frame import Size
from tests.tiny_artefact import write_tiny_artefact


@pytest.mark.parametrize("target", TARGETS)
def test_a_model_is_compiled_checked_and_timed(live_artefact: Artefact, target: str) -> None:
    report = build_engine(live_artefact, target, Size(width=61, height=30))

    assert report.backend.startswith(target)
    assert report.lr_size == Size(width=64, height=32), "padded to multiples of 8"
    assert report.off.max_levels <= 4
    assert report.open_s > 0
    assert report.frame_ms > 0


def test_an_unknown_target_is_answered_with_the_known_ones(live_artefact: Artefact) -> None:
    with pytest.raises(
        ConfigError, match="unknown target 'abacus'; known: onnxruntime, openvino, tensor"
    ):
        build_engine(live_artefact, "abacus", Size(width=64, height=32))


def test_a_model_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    broken = write_tiny_artefact(tmp_path / "broken-x2", is_broken=True)
    with pytest.raises(ModelMismatch, match="does not reproduce"):
        build_engine(broken, "onnxruntime", Size(width=32, height=16))


@pytest.mark.parametrize(("scale", "size"), [(2, "640x360"), (3, "428x240"), (4, "320x180")])
def test_a_model_is_compiled_for_720p_unless_told_otherwise(
    tmp_path: Path, scale: int, size: str
) -> None:
    artefact = write_tiny_artefact(tmp_path / f"tiny-x{scale}", scale=scale)
    assert str(default_lr_size(artefact)) == size
