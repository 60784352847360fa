import itertools
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from decoder.artefact import Artefact
from decoder.lanczos import LanczosScaler
from decoder.training.bicubic import BicubicScaler
from decoder.training.changes import unpack_crops
from decoder.training.config import EvalConfig
from decoder.training.evaluate import evaluate
from decoder.training.metrics import flicker_db, psnr_db, ssim
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


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of all tests: what one has measured, the next need not."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def config(model: Artefact, clip: Path, cache: Path) -> EvalConfig:
    return EvalConfig(
        models=(str(model.folder),),
        clips=(clip,),
        bitrates_bps=(BITRATE_BPS,),
        codecs=("h264",),
        backend="onnxruntime",
        vmaf=False,
        cache=cache,
    )


def test_the_scores_are_those_of_the_same_clip_coded_and_restored_by_hand(
    config: EvalConfig, tmp_path: Path
) -> None:
    (score,) = evaluate(config)

    cropped = write_footage(tmp_path / "cropped.y4m", count=FRAMES)  # 128x96 of the same pattern
    lr_size = Size(width=WIDTH // 2, height=HEIGHT // 2)
    rung = SentRung(size=lr_size, bitrate_bps=BITRATE_BPS)
    coded = code_as_sent(cropped, [rung], tmp_path)[rung]
    lr = list(decoded_frames(coded))
    originals = [moving_frame(index).y for index in range(FRAMES)]
    full = Size(width=WIDTH, height=HEIGHT)
    lanczos, bicubic = (
        [scaler.scale(frame).y for frame in lr]
        for scaler in (LanczosScaler(full), BicubicScaler(full))
    )
    restored = [
        expected_planes([lr[max(0, min(FRAMES - 1, n + step))] for step in (-1, 0, 1)])[0]
        for n in range(FRAMES)
    ]
    assert not np.array_equal(lanczos[0], bicubic[0])
    for found, pictures in (
        (score.lanczos, lanczos),
        (score.bicubic, bicubic),
        (score.restored, restored),
    ):
        pairs = list(zip(pictures, originals, strict=True))
        assert found.psnr_y_db == pytest.approx(fmean(psnr_db(*pair) for pair in pairs))
        assert found.ssim_y == pytest.approx(fmean(ssim(*pair) for pair in pairs))
        steps = [(*before, *after) for before, after in itertools.pairwise(pairs)]
        assert found.flicker_db == pytest.approx(fmean(flicker_db(*step) for step in steps))
        assert found.vmaf is None
    assert score.gain("psnr_y_db") == score.restored.psnr_y_db - score.lanczos.psnr_y_db
    assert score.gain("vmaf_neg") is None
    assert (score.clip, score.model, score.backend) == ("river", "tiny-x2", "onnxruntime f32")
    assert (score.hr_size, score.lr_size) == (Size(width=WIDTH, height=HEIGHT), lr_size)
    assert (score.frames, score.codec, score.target_bps) == (FRAMES, "h264", BITRATE_BPS)
    assert score.coded_bps == round(8 * coded.stat().st_size * 25 / FRAMES)
    change, harm = unpack_crops(score.crops.read_bytes())
    assert (change.why, harm.why) == ("change", "harm")
    assert change.frame >= FRAMES // 3
    assert change.pictures.shape == (3, HEIGHT, WIDTH, 3)


def test_what_was_measured_is_not_measured_again(
    config: EvalConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[int, int]] = []
    before = list(evaluate(config))

    def fail(*_: object) -> None:
        raise AssertionError("coded or restored again")

    with monkeypatch.context() as patched:
        patched.setattr("decoder.training.clip_measurement.code_as_sent", fail)
        patched.setattr("decoder.training.clip_measurement.decoded_frames", fail)
        again = list(evaluate(config, lambda done, total: steps.append((done, total))))

    assert again == before
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]
    before[0].crops.write_bytes(b"damaged")
    before[0].crops.with_suffix(".json").write_bytes(b"{")
    assert list(evaluate(config)) == before


def test_every_codec_is_measured_with_what_its_frames_take(config: EvalConfig, cache: Path) -> None:
    h264, av1 = evaluate(replace(config, codecs=("h264", "av1")))
    assert (h264.codec, av1.codec) == ("h264", "av1")
    assert av1.restored.psnr_y_db > 20
    (coded,) = cache.glob("*.ivf")
    in_file = 8 * coded.stat().st_size * 25 / FRAMES
    # IVF adds 32 bytes, and 12 a frame
    assert av1.coded_bps == pytest.approx(in_file - 8 * (32 + 12 * FRAMES) * 25 / FRAMES, abs=1)


def test_vmaf_is_measured_too(config: EvalConfig) -> None:
    (score,) = evaluate(replace(config, vmaf=True))
    for quality in (score.lanczos, score.bicubic, score.restored):
        assert quality.vmaf is not None
        assert quality.vmaf_neg is not None
        assert 0 <= quality.vmaf_neg <= quality.vmaf <= 100
    assert score.gain("vmaf") is not None


def test_models_of_all_scales_are_measured_on_the_same_picture_at_every_bitrate(
    config: EvalConfig, model: Artefact, tmp_path: Path
) -> None:
    larger = write_tiny_artefact(tmp_path / "tiny-x3", scale=3)
    config = replace(
        config,
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
    config: EvalConfig,
) -> None:
    config = replace(config, lr_size=Size(width=32, height=24), seconds=0.1)
    (score,) = evaluate(config)
    assert (score.lr_size, score.hr_size) == (
        Size(width=32, height=24),
        Size(width=WIDTH, height=HEIGHT),
    )
    with pytest.raises(ConfigError, match="does not have the shape"):
        list(evaluate(replace(config, lr_size=Size(width=32, height=32))))


def test_a_model_that_fails_on_a_frame_has_no_score(config: EvalConfig, tmp_path: Path) -> None:
    failing = write_tiny_artefact(tmp_path / "failing-x2", fails_above_mean=150)
    grey = np.full((32, 32), 128, np.uint8)
    fade = [
        Frame(y=np.full((64, 64), level, np.uint8), u=grey, v=grey, pts=0) for level in (100, 200)
    ]
    path = RawClip.write(tmp_path / "fade.y4m", fade, Fraction(25)).path
    with pytest.raises(InferenceFailed, match="failed on 1 frames"):
        list(evaluate(replace(config, models=(str(failing.folder),), clips=(path,))))


def test_wrong_clips_models_and_rates_are_refused(config: EvalConfig, tmp_path: Path) -> None:
    good = config
    with pytest.raises(ConfigError, match="unknown model 'nonesuch'"):
        list(evaluate(replace(good, models=("nonesuch",))))
    with pytest.raises(ConfigError, match="does not exist"):
        list(evaluate(replace(good, clips=(tmp_path / "missing.mp4",))))
    (tmp_path / "bad.mp4").write_bytes(b"not a video")
    with pytest.raises(ConfigError, match=r"bad\.mp4"):
        list(evaluate(replace(good, clips=(tmp_path / "bad.mp4",))))
    with pytest.raises(CodecError, match="bitrate 1 b/s is out of range"):
        list(evaluate(replace(good, bitrates_bps=(1,))))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"--cache .*file: File exists"):
        list(evaluate(replace(good, cache=tmp_path / "file")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seconds": 0}, "--seconds must be above 0"),
        ({"seconds": math.nan}, "--seconds must be above 0"),
        ({"models": ()}, "at least one model"),
        ({"codecs": ()}, "at least one model, clip, codec"),
        ({"codecs": ("vp9",)}, "--codecs must be of h264, av1, got 'vp9'"),
        ({"json": Path("/nonesuch/scores.json")}, "there is no folder /nonesuch"),
    ],
)
def test_settings_that_can_never_work_are_refused(
    config: EvalConfig, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(config, **change)  # type: ignore[arg-type]  # values of several types
