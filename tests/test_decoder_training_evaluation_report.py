import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decoder.training.changes import ChangeFinder, pack_crops
from decoder.training.crop_sheet import write_sheets
from decoder.training.evaluate import Score
from decoder.training.evaluation_report import (
    HEADER,
    bd_lines,
    bd_rates,
    grouped,
    mean_lines,
    score_lines,
    write_json,
)
from decoder.training.picture_quality import Quality
from stream.errors import ConfigError
from stream.frame import Frame, Size
from tests.training_media import moving_frame


def _score(clip: str, gain: float, *, target_bps: int = 150_000, model: str = "m-x2") -> Score:
    """Quality rises with the rate; the model adds `gain` to each metric."""
    level = target_bps / 10_000

    def quality(gain: float) -> Quality:
        return Quality(
            psnr_y_db=20 + level + gain,
            ssim_y=0.8 + gain / 100,
            flicker_db=30 + gain,
            vmaf=40 + level + gain,
            vmaf_neg=35 + level + gain,
        )

    return Score(
        clip=clip,
        model=model,
        model_path=f"models/{model}",
        version="1",
        backend="openvino bf16",
        codec="h264",
        hr_size=Size(width=1280, height=720),
        lr_size=Size(width=640, height=360),
        frames=60,
        target_bps=target_bps,
        coded_bps=target_bps - 4000,
        lanczos=quality(0),
        bicubic=quality(-0.2),
        restored=quality(gain),
        crops=Path("nonesuch.npz"),
    )


SCORES = [
    _score("river", 0.5),
    _score("a-clip-whose-name-is-far-too-long-for-a-table", -0.1),
    _score("river", 0.3, target_bps=300_000),
    _score("river", 0.7, model="n-x2"),
]


def test_the_table_has_a_row_for_each_way_of_restoring_with_the_gains_of_the_model() -> None:
    rows = [row.split() for row in score_lines(SCORES[0])]
    assert rows == [
        ["river", "h264", "150k", "146k", "lanczos", "35.00", "0.8000", "50.00", "55.00", "30.00"],
        ["river", "h264", "150k", "146k", "bicubic", "34.80", "0.7980", "49.80", "54.80", "29.80"],
        [
            *("river", "h264", "150k", "146k", "m-x2"),
            *("35.50", "+0.50", "0.8050", "+0.0050", "50.50", "+0.50"),
            *("55.50", "+0.50", "30.50", "+0.50"),
        ],
    ]
    assert {len(score_lines(score)[2]) for score in SCORES} == {len(HEADER)}
    assert score_lines(SCORES[0], classical=False) == score_lines(SCORES[0])[2:]
    unmeasured = replace(SCORES[0], restored=Quality(psnr_y_db=35.5, ssim_y=0.8))
    assert score_lines(unmeasured)[2].split()[-3:] == ["-", "-", "-"]


def test_means_are_of_a_model_codec_and_bitrate_and_the_worst_place_is_named() -> None:
    means = mean_lines([*SCORES, replace(SCORES[0], codec="av1")])
    assert [line.split()[:6] for line in means[:4]] == [
        ["mean", "of", "2", "h264", "150k", "146k"],
        ["mean", "of", "1", "h264", "300k", "296k"],
        ["mean", "of", "1", "h264", "150k", "146k"],
        ["mean", "of", "1", "av1", "150k", "146k"],
    ]
    assert "35.20   +0.20" in means[0]
    long = "a-clip-whose-name-is-far-too-long-for-a-table"
    assert means[4].startswith(
        f"worst of models/m-x2 against Lanczos: PSNR-Y -0.10 ({long} h264 150k), SSIM-Y -0.0010"
    )
    assert "VMAF-NEG +0.70 (river h264 150k)" in means[5]


def _curve(clip: str, gain: float) -> list[Score]:
    return [_score(clip, gain, target_bps=rate) for rate in (60_000, 120_000, 240_000)]


def test_bd_rate_is_told_by_clip_and_in_the_mean() -> None:
    scores = [*_curve("river", 1.0), *_curve("street", 0.0), _score("dog", 1.0)]

    rates = bd_rates(scores)

    assert list(rates) == [("models/m-x2", "h264", m) for m in ("psnr_y_db", "vmaf_neg")]
    by_clip = rates["models/m-x2", "h264", "psnr_y_db"]
    assert by_clip["street"].percent == pytest.approx(0, abs=1e-6)
    gained = by_clip["river"].percent
    assert gained is not None
    assert -20 < gained < -5
    assert by_clip["dog"].percent is None
    told = bd_lines(scores)[0]
    assert told.startswith("BD-rate of models/m-x2 against Lanczos, h264, PSNR-Y: ")
    assert f"{gained / 2:+.1f}% ± {-gained / 2:.1f} over 2 of 3 clips" in told
    assert "dog: a curve needs 3 bitrates" in told


def test_the_json_holds_everything_with_machine_and_versions(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"

    write_json(path, [*SCORES, *_curve("cups", 1.0)], judge="ffmpeg 9")

    content = json.loads(path.read_text())
    assert content["machine"]["cores"] >= 1
    assert content["versions"]["av"]
    assert content["versions"]["vmaf"] == "ffmpeg 9"
    assert len(content["scores"]) == 7
    first = content["scores"][0]
    assert (first["clip"], first["lr_size"], first["coded_bps"]) == ("river", "640x360", 146_000)
    assert first["restored"]["vmaf_neg"] == 50.5
    assert first["gain"]["psnr_y_db"] == pytest.approx(0.5)
    mean = content["means"][0]
    assert (mean["clips"], mean["codec"]) == (2, "h264")
    assert mean["gain"]["psnr_y_db"] == pytest.approx(0.2)
    assert content["worst"]["models/m-x2"]["psnr_y_db"]["gain"] == -0.1
    assert {rate["metric"] for rate in content["bd_rates"]} == {"psnr_y_db", "vmaf_neg"}
    assert content["bd_rates"][0]["clips"]["cups"]["percent"] < 0
    with pytest.raises(ConfigError, match="Is a directory"):
        write_json(tmp_path, SCORES)


def test_models_of_the_same_name_in_different_folders_are_told_apart() -> None:
    mine = replace(SCORES[0], model_path="elsewhere/m-x2")
    assert [len(group) for group in grouped([SCORES[0], mine, SCORES[1]]).values()] == [2, 1]


def _with_spot(frame: Frame, x: int, y: int, level: int) -> Frame:
    luma = frame.y.copy()
    luma[y : y + 20, x : x + 20] = level
    return replace(frame, y=luma)


def test_a_sheet_shows_the_places_that_changed_most_in_three_pictures(tmp_path: Path) -> None:
    frame = moving_frame(0, width=320, height=256)
    finder = ChangeFinder(first=1)
    finder.push(0, frame, _with_spot(frame, 0, 0, 16), frame)  # too early
    # A better place, changed by more than another which becomes worse.
    finder.push(1, _with_spot(frame, 140, 140, 16), frame, frame)
    finder.push(2, frame, _with_spot(frame, 20, 20, 160), frame)
    change, harm = finder.crops
    assert (change.why, change.frame, harm.why, harm.frame) == ("change", 1, "harm", 2)
    assert change.x <= 140 <= change.x + 108
    assert change.gain > 0 > harm.gain
    crops = tmp_path / "crops.npz"
    crops.write_bytes(pack_crops(finder.crops))
    (tmp_path / "none.npz").write_bytes(pack_crops([]))
    scores = [
        replace(SCORES[0], clip="a/b c", crops=crops),
        replace(SCORES[2], clip="a/b c", crops=tmp_path / "none.npz"),
        replace(SCORES[3], crops=crops),
    ]

    paths = write_sheets(tmp_path / "sheets", scores)

    assert [path.name for path in paths] == ["a_b_c.m-x2.h264.png", "river.n-x2.h264.png"]
    with Image.open(paths[1]) as sheet:
        pixels = np.asarray(sheet)
    zoomed = change.pictures.repeat(2, axis=1).repeat(2, axis=2)
    height, width = zoomed.shape[1:3]
    tops = [
        top
        for top in range(pixels.shape[0] - height)
        if np.array_equal(pixels[top : top + height, :width], zoomed[0])
    ]
    assert len(tops) == 1
    row = pixels[tops[0] : tops[0] + height]
    for index in range(3):
        left = index * (width + 6)
        assert np.array_equal(row[:, left : left + width], zoomed[index])
    with pytest.raises(ConfigError, match=r"--sheets .*: File exists"):
        write_sheets(crops, scores)
