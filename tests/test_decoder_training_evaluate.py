import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from decoder.artefact import Artefact
from decoder.lanczos import LanczosScaler
from decoder.training.config import EvalConfig
from decoder.training.evaluate import Quality, Score, evaluate
from decoder.training.evaluation_report import HEADER, grouped, mean_lines, score_line, write_json
from decoder.training.metrics import psnr_db, ssim
from decoder.training.raw_clip import RawClip
from decoder.training.sent_clip import SentRung, code_as_sent, decoded_frames
from stream.errors import CodecError, ConfigError, InferenceFailed
from stream.frame import Frame, Size
from tests.tiny_artefact import expected_planes, write_tiny_artefact
from tests.training_media import moving_frame, write_footage

FRAMES = 8
WIDTH, HEIGHT = 128, 96
BITRATE_BPS = 100_000


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two samples wider and higher than every scale fits."""
    folder = tmp_path_factory.mktemp("clips")
    return write_footage(folder / "river.y4m", count=FRAMES, width=WIDTH + 2, height=HEIGHT + 2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """Repeats samples of a weighted mean over three frames, so that it can be computed by hand."""
    return write_tiny_artefact(tmp_path_factory.mktemp("models") / "tiny-x2")


def _config(model: Artefact, *clips: Path) -> EvalConfig:
    return EvalConfig(
        models=(str(model.folder),),
        clips=clips,
        bitrates_bps=(BITRATE_BPS,),
        backend="onnxruntime",
    )


def test_the_scores_are_those_of_the_same_clip_coded_and_restored_by_hand(
    clip: Path, model: Artefact, tmp_path: Path
) -> None:
    (score,) = evaluate(_config(model, clip))

    cropped = write_footage(tmp_path / "cropped.y4m", count=FRAMES)  # 128x96 of the same pattern
    lr_size = Size(width=WIDTH // 2, height=HEIGHT // 2)
    rung = SentRung(size=lr_size, bitrate_bps=BITRATE_BPS)
    coded = code_as_sent(cropped, [rung], tmp_path)[rung]
    lr = list(decoded_frames(coded))
    originals = [moving_frame(index).y for index in range(FRAMES)]
    scaler = LanczosScaler(Size(width=WIDTH, height=HEIGHT))
    lanczos = [scaler.scale(frame).y for frame in lr]
    restored = [
        expected_planes([lr[max(0, min(FRAMES - 1, n + step))] for step in (-1, 0, 1)])[0]
        for n in range(FRAMES)
    ]
    for found, pictures in ((score.lanczos, lanczos), (score.restored, restored)):
        pairs = list(zip(pictures, originals, strict=True))
        assert found.psnr_y_db == pytest.approx(fmean(psnr_db(*pair) for pair in pairs))
        assert found.ssim_y == pytest.approx(fmean(ssim(*pair) for pair in pairs))
    assert score.psnr_gain_db == score.restored.psnr_y_db - score.lanczos.psnr_y_db
    assert (score.clip, score.model, score.backend) == ("river", "tiny-x2", "onnxruntime f32")
    assert (score.hr_size, score.lr_size) == (Size(width=WIDTH, height=HEIGHT), lr_size)
    assert (score.frames, score.target_bps) == (FRAMES, BITRATE_BPS)
    assert score.coded_bps == round(8 * coded.stat().st_size * 25 / FRAMES)


def test_models_of_all_scales_are_measured_on_the_same_picture_at_every_bitrate(
    clip: Path, model: Artefact, tmp_path: Path
) -> None:
    larger = write_tiny_artefact(tmp_path / "tiny-x3", scale=3)
    config = replace(
        _config(model, clip),
        models=(str(model.folder), str(larger.folder)),
        bitrates_bps=(60_000, 400_000),
        seconds=0.1,
    )

    scores = list(evaluate(config))

    assert {(score.model, score.target_bps, str(score.lr_size)) for score in scores} == {
        ("tiny-x2", 60_000, "60x48"),
        ("tiny-x2", 400_000, "60x48"),
        ("tiny-x3", 60_000, "40x32"),
        ("tiny-x3", 400_000, "40x32"),
    }
    assert {str(score.hr_size) for score in scores} == {"120x96"}
    assert {score.frames for score in scores} == {2}
    by_rate = {(s.model, s.target_bps): s.lanczos.psnr_y_db for s in scores}
    assert by_rate["tiny-x2", 400_000] > by_rate["tiny-x2", 60_000]


def test_another_size_may_travel_if_it_has_the_shape_of_the_clip(
    clip: Path, model: Artefact
) -> None:
    config = replace(_config(model, clip), lr_size=Size(width=32, height=24), seconds=0.1)
    (score,) = evaluate(config)
    assert (score.lr_size, score.hr_size) == (
        Size(width=32, height=24),
        Size(width=WIDTH, height=HEIGHT),
    )
    with pytest.raises(ConfigError, match="does not have the shape"):
        list(evaluate(replace(config, lr_size=Size(width=32, height=32))))


def test_a_model_that_fails_on_a_frame_has_no_score(tmp_path: Path) -> None:
    failing = write_tiny_artefact(tmp_path / "failing-x2", fails_above_mean=150)
    grey = np.full((32, 32), 128, np.uint8)
    fade = [
        Frame(y=np.full((64, 64), level, np.uint8), u=grey, v=grey, pts=0) for level in (100, 200)
    ]
    path = RawClip.write(tmp_path / "fade.y4m", fade, Fraction(25)).path
    with pytest.raises(InferenceFailed, match="failed on 1 frames"):
        list(evaluate(_config(failing, path)))


def test_wrong_clips_models_and_rates_are_refused(
    clip: Path, model: Artefact, tmp_path: Path
) -> None:
    good = _config(model, clip)
    with pytest.raises(ConfigError, match="unknown model 'nonesuch'"):
        list(evaluate(replace(good, models=("nonesuch",))))
    with pytest.raises(ConfigError, match="does not exist"):
        list(evaluate(replace(good, clips=(tmp_path / "missing.mp4",))))
    (tmp_path / "bad.mp4").write_bytes(b"not a video")
    with pytest.raises(ConfigError, match=r"bad\.mp4"):
        list(evaluate(replace(good, clips=(tmp_path / "bad.mp4",))))
    with pytest.raises(CodecError, match="bitrate 1 b/s is out of range"):
        list(evaluate(replace(good, bitrates_bps=(1,))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seconds": 0}, "--seconds must be above 0"),
        ({"seconds": math.nan}, "--seconds must be above 0"),
        ({"models": ()}, "at least one model"),
        ({"json": Path("/nonesuch/scores.json")}, "there is no folder /nonesuch"),
    ],
)
def test_settings_that_can_never_work_are_refused(
    model: Artefact, clip: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(_config(model, clip), **change)  # type: ignore[arg-type]  # values of several types


def _score(clip: str, gain_db: float, *, target_bps: int = 150_000, model: str = "m-x2") -> Score:
    return Score(
        clip=clip,
        model=model,
        model_path=f"models/{model}",
        version="1",
        backend="openvino bf16",
        hr_size=Size(width=1280, height=720),
        lr_size=Size(width=640, height=360),
        frames=60,
        target_bps=target_bps,
        coded_bps=target_bps - 4000,
        lanczos=Quality(psnr_y_db=28.0, ssim_y=0.8),
        restored=Quality(psnr_y_db=28.0 + gain_db, ssim_y=0.81),
    )


SCORES = [
    _score("river", 0.5),
    _score("a-clip-whose-name-is-far-too-long-for-a-table", -0.1),
    _score("river", 0.3, target_bps=300_000),
    _score("river", 0.7, model="n-x2"),
]


def test_the_table_has_a_row_a_score_and_a_mean_a_model_and_bitrate() -> None:
    row = score_line(SCORES[0])
    assert row.split() == [
        *("river", "m-x2", "150k", "146k"),
        *("28.50", "28.00", "+0.50", "0.8100", "0.8000", "+0.0100"),
    ]
    assert {len(score_line(score)) for score in SCORES} == {len(HEADER)}
    means = mean_lines(SCORES)
    assert [line.split()[:5] for line in means] == [
        ["mean", "of", "2", "m-x2", "150k"],
        ["mean", "of", "1", "m-x2", "300k"],
        ["mean", "of", "1", "n-x2", "150k"],
    ]
    assert "28.20   28.00  +0.20" in means[0]
    assert means[0].endswith("worst -0.10 dB (a-clip-whose-name-is-far-too-long-for-a-table)")


def test_the_json_holds_everything_with_machine_and_versions(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"

    write_json(path, SCORES)

    content = json.loads(path.read_text())
    assert content["machine"]["cores"] >= 1
    assert content["versions"]["av"]
    assert len(content["scores"]) == 4
    first = content["scores"][0]
    assert (first["clip"], first["lr_size"], first["coded_bps"]) == ("river", "640x360", 146_000)
    assert first["restored"] == {"psnr_y_db": 28.5, "ssim_y": 0.81}
    assert [mean["clips"] for mean in content["means"]] == [2, 1, 1]
    assert content["means"][0]["psnr_gain_db"] == pytest.approx(0.2)
    assert content["means"][0]["worst_psnr_gain_db"] == pytest.approx(-0.1)
    with pytest.raises(ConfigError, match="Is a directory"):
        write_json(tmp_path, SCORES)


def test_models_of_the_same_name_in_different_folders_are_told_apart() -> None:
    mine = replace(SCORES[0], model_path="elsewhere/m-x2")
    assert [len(group) for group in grouped([SCORES[0], mine, SCORES[1]]).values()] == [2, 1]
