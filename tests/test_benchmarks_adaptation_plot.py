"""The picture of what adapting gains."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.adaptation_plot import gains_of, main

ROOT = Path(__file__).parent.parent
RESULTS = [
    ROOT / "benchmarks" / "results" / name
    for name in ("adaptation-ablation.json", "adaptation.json")
]


def test_the_committed_picture_is_of_the_committed_results(tmp_path: Path) -> None:
    out = tmp_path / "out.svg"
    assert main([str(out), *map(str, RESULTS)]) == 0
    assert out.read_text() == (ROOT / "docs" / "adaptation.svg").read_text()
    root = ElementTree.fromstring(out.read_text())
    words = " ".join(each.text or "" for each in root.iter() if each.tag.endswith("text"))
    assert words.count("pays") == 1
    assert words.count("refused") == 2


def test_programmes_that_gain_most_come_first() -> None:
    gains = gains_of([json.loads(path.read_text()) for path in RESULTS])
    assert list(gains) == ["blocks", "music-video", "face"]
    assert gains["blocks"]["refused"] is None
    assert gains["blocks"]["gains"]["av1"] > gains["blocks"]["gains"]["h264"] > 2
