import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.ladder_content import losses_of
from benchmarks.ladder_steps import (
    TABLE,
    best_monotone,
    committed_results,
    learn,
    learn_all,
    learn_contents,
    main,
    table_text,
)
from encoder.ladder import Ladder

CLIPS = ("a", "b", "c")


def _point(clip: str, lines: int, kb: float, quality: float, **other: str) -> dict[str, Any]:
    direct = {"kind": "direct", "coding": "x264-veryfast", "model": ""}
    restored = {"kind": "restored", "coding": "h264", "model": "live-xs-x2"}
    return {
        "clip": clip,
        "rung": f"{lines}p",
        "wire_bps": 1000 * kb,
        "quality": {"psnr_y_db": quality, "vmaf_neg": 3 * quality},
        **(direct if lines == 720 else restored),
        **other,
    }


def _points(crossings_kb: tuple[float, float]) -> list[dict[str, Any]]:
    """180p, 360p and 720p, each better than the one before from the given rates on."""
    low, high = np.log2(crossings_kb)
    found = []
    for shift, clip in enumerate(CLIPS):
        for kb in (40, 80, 160, 320, 640, 1280, 2560):
            bits = float(np.log2(kb))
            small = 30 + 1.0 * (bits - low)
            middle = 30 + 2.0 * (bits - low)
            top = 30 + 2.0 * (high - low) + 4.0 * (bits - high)
            for lines, quality in ((180, small), (360, middle), (720, top)):
                if lines < 720 or kb >= 160:
                    found.append(_point(clip, lines, kb, quality + shift))
    return found


def test_the_limits_are_where_the_next_size_becomes_better() -> None:
    learned = learn(_points((130, 900)), codec="h264", hd_lines=720)
    assert learned is not None
    assert [str(share) for share in learned.shares] == ["1/4", "1/2", "1"]
    assert list(learned.up_to_bps) == pytest.approx([130_000, 900_000], rel=0.08)
    assert learned.clips == 3
    assert learned.worst_mean_regret < 0.1


def test_a_size_that_is_never_the_best_is_no_rung() -> None:
    points = _points((130, 900))
    points += [_point(clip, 540, kb, 10.0) for clip in CLIPS for kb in (40, 2560)]
    learned = learn(points, codec="h264", hd_lines=720)
    assert learned is not None
    assert [str(share) for share in learned.shares] == ["1/4", "1/2", "1"]


def test_hd_stays_the_top_rung_even_where_it_never_won() -> None:
    points = [each for each in _points((130, 90_000)) if each["wire_bps"] < 900_000]
    learned = learn(points, codec="h264", hd_lines=720)
    assert learned is not None
    assert str(learned.shares[-1]) == "1"
    assert learned.up_to_bps[-1] >= 600_000


def test_other_tiers_and_codecs_do_not_count() -> None:
    points = _points((130, 900))
    points += [_point(clip, 180, 1000, 99.0, model="live-m-x4") for clip in CLIPS]
    points += [_point(clip, 180, 1000, 99.0, coding="av1") for clip in CLIPS]
    points += [_point(clip, 720, 300, 99.0, coding="x265-superfast") for clip in CLIPS]
    assert learn(points, codec="h264", hd_lines=720) == learn(
        _points((130, 900)), codec="h264", hd_lines=720
    )
    assert learn(points, codec="av1", hd_lines=720) is None


def test_the_best_choice_never_goes_back_to_a_smaller_size() -> None:
    mean = np.array([[5.0, 4.0, 9.0, 1.0], [1.0, 6.0, 5.0, 7.0]])
    assert best_monotone(mean) == [0, 0, 0, 1]


def test_the_command_says_what_a_file_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"figures": []}')
    assert main([str(path)]) == 2
    assert "holds no results of the bandwidth benchmark" in capsys.readouterr().err


def test_results_replace_the_rows_for_their_codec_and_output_alone(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    content = {"settings": {"output_size": "720p"}, "points": _points((130, 900))}
    path.write_text(json.dumps({"figures": content}))
    kept = {"codec": "av1", "hd_lines": 1080, "up_to_bps": [1], "shares": ["1/2", "1"]}
    old = {"codec": "h264", "hd_lines": 720, "up_to_bps": [2], "shares": ["1/2", "1"]}
    table = json.loads(table_text([kept, old], learn_all([path])))
    assert table["steps"][0] == kept
    assert table["steps"][1]["shares"] == ["1/4", "1/2", "1"]


def test_the_ladder_that_is_used_is_the_one_that_the_committed_results_give() -> None:
    text = TABLE.read_text(encoding="utf-8")
    rows = json.loads(text)["steps"]
    results = committed_results()
    learned, contents = learn_all(results), learn_contents(results, losses_of())
    assert table_text(rows, learned, contents) == text
    assert Ladder().top >= 1
