"""What other weights cost a running stream, measured on a network of three weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import weight_swap
from stream.frame import Size
from tests.tiny_artefact import write_tiny_artefact


def test_coding_opening_and_fading_are_measured_and_no_frame_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_swap, "INTERVAL_S", 0.005)
    monkeypatch.setattr(weight_swap, "ZERO_SHARE", -1.0)  # all of them change
    artefact = write_tiny_artefact(tmp_path / "tiny-x2")
    container, coded = weight_swap.code(artefact)
    assert coded["weights"] == 4
    assert coded["bytes"] == len(container)
    weights = weight_swap.decoded(artefact, container)
    row = weight_swap.swap(artefact, "onnxruntime", weights, size=Size(width=64, height=48))
    assert row["frames_missing"] == 0
    assert len(row["fading_ms"]) == 3
    assert row["counts"]["restored"] > weight_swap.ALONE_FRAMES
    assert row["opening_s"] > 0
