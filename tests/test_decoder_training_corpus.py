import json
import logging
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from decoder.training.bicubic import BicubicScaler
from decoder.training.corpus import DESCRIPTION_FILE, MACROBLOCK, CorpusConfig, build_corpus
from decoder.training.raw_clip import RawClip
from stream.errors import ConfigError
from stream.frame import Frame, Size
from tests.training_media import moving_frame, write_footage

CONFIG = CorpusConfig(
    scale=2, bitrates_bps=(40_000_000, 10_000_000), frames=8, patch=64, moments=2, patches=2
)
Arrays = dict[str, NDArray[Any]]  # Any: arrays of bytes and of floats


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One clip."""
    folder = tmp_path_factory.mktemp("data")
    write_footage(folder / "river.y4m", count=8, width=160, height=128)
    return folder


@pytest.fixture(scope="module")
def corpus(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    assert build_corpus(data, folder, CONFIG) == 1
    return folder


def _shard(corpus: Path) -> tuple[Path, Arrays]:
    (path,) = corpus.glob("*.npz")
    return path, dict(np.load(path))


def test_a_shard_holds_windows_of_every_rung_moment_and_place(corpus: Path) -> None:
    _, arrays = _shard(corpus)

    windows = 2 * 2 * 2
    assert {name: array.shape for name, array in arrays.items()} == {
        "lr_y": (windows, 3, 32, 32),
        "lr_u": (windows, 3, 16, 16),
        "lr_v": (windows, 3, 16, 16),
        "hr_y": (windows, 1, 64, 64),
        "hr_u": (windows, 1, 32, 32),
        "hr_v": (windows, 1, 32, 32),
        "quantiser": (windows, 3),
    }
    quantiser = arrays["quantiser"]
    assert (quantiser >= 0).all()
    assert (quantiser <= 51).all()
    assert quantiser[:4].mean() < quantiser[4:].mean(), "the first rung has more bits"


def test_lr_and_hr_show_the_same_place_at_the_same_time(corpus: Path) -> None:
    _, arrays = _shard(corpus)
    reference = 1
    for index in range(len(arrays["quantiser"])):
        for plane in ("y", "u", "v"):
            hr = arrays[f"hr_{plane}"][index, 0]
            shrunk = hr.reshape(hr.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3))
            inner = shrunk[4:-4, 4:-4]  # the sender's filter is no mean of four, least at edges
            # The pattern moves, so another place can look right at another time: not both at once.
            places = [(y, x, reference) for y in range(-2, 3) for x in range(-2, 3)]
            moments = [(0, 0, time) for time in range(3)]
            error = {
                place: float(np.square(inner - _moved(arrays, plane, index, *place)).mean())
                for place in (*places, *moments)
            }
            assert min(error, key=error.__getitem__) == (0, 0, reference)


def _moved(arrays: Arrays, plane: str, index: int, y: int, x: int, time: int) -> NDArray[np.uint8]:
    lr: NDArray[np.uint8] = arrays[f"lr_{plane}"][index, time]
    return lr[4 + y : lr.shape[0] - 4 + y, 4 + x : lr.shape[1] - 4 + x]


def test_patches_lie_on_macroblock_boundaries(corpus: Path) -> None:
    _, arrays = _shard(corpus)
    frames = [moving_frame(index, width=160, height=128) for index in range(8)]
    for patch in arrays["hr_y"][:, 0]:
        places = [
            (y, x)
            for frame in frames
            for y in range(0, 65, 2)
            for x in range(0, 97, 2)
            if np.array_equal(frame.y[y : y + 64, x : x + 64], patch)
        ]
        assert any(y % (2 * MACROBLOCK) == x % (2 * MACROBLOCK) == 0 for y, x in places), places


def test_existing_shards_are_kept_and_a_lost_one_comes_back_the_same(
    data: Path, corpus: Path
) -> None:
    path, before = _shard(corpus)
    kept = path.stat().st_mtime_ns

    build_corpus(data, corpus, CONFIG)
    assert path.stat().st_mtime_ns == kept

    path.unlink()
    (corpus / path.name.replace(".npz", ".partial.npz")).write_bytes(b"an interrupted write")
    build_corpus(data, corpus, CONFIG)
    _, after = _shard(corpus)
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("change", [{"seed": 2}, {"bitrates_bps": (100_000,)}, {"lookahead": 0}])
def test_a_folder_takes_the_patches_of_one_recipe_only(
    data: Path, corpus: Path, change: dict[str, int]
) -> None:
    with pytest.raises(ConfigError, match="cut for another recipe"):
        build_corpus(data, corpus, replace(CONFIG, **change))  # type: ignore[arg-type]  # of any


def test_shards_of_unknown_origin_are_not_mixed_with_new_ones(
    data: Path, corpus: Path, tmp_path: Path
) -> None:
    path, _ = _shard(corpus)
    (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ConfigError, match=f"no {DESCRIPTION_FILE}"):
        build_corpus(data, tmp_path, CONFIG)


def test_the_corpus_says_what_it_was_cut_by(corpus: Path) -> None:
    description = json.loads((corpus / DESCRIPTION_FILE).read_text())
    assert description["bitrates_bps"] == [40_000_000, 10_000_000]
    assert description["lookahead"] == 1


@pytest.mark.parametrize(("window", "lookahead"), [(2, 0), (3, 2)])
def test_the_hr_frame_is_that_of_the_reference_whatever_the_lookahead(
    tmp_path: Path, window: int, lookahead: int
) -> None:
    flat = np.full((32, 32), 128, np.uint8)
    brighter = (
        Frame(y=np.full((64, 64), 40 + 20 * index, np.uint8), u=flat, v=flat, pts=index)
        for index in range(8)
    )
    (tmp_path / "data").mkdir()
    RawClip.write(tmp_path / "data" / "fade.y4m", brighter, Fraction(25))
    config = replace(CONFIG, bitrates_bps=(90_000_000,), window=window, lookahead=lookahead)

    build_corpus(tmp_path / "data", tmp_path / "corpus", config)

    _, arrays = _shard(tmp_path / "corpus")
    for lr, hr in zip(arrays["lr_y"], arrays["hr_y"], strict=True):
        steps = np.round((lr.mean(axis=(1, 2)) - hr.mean()) / 20)
        assert steps.tolist() == list(range(lookahead + 1 - window, lookahead + 1))


def test_footage_that_cannot_be_used_is_left_out_and_named(
    data: Path, corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mixed, path = tmp_path / "mixed", _shard(corpus)[0]
    mixed.mkdir()
    (mixed / "river.y4m").write_bytes((data / "river.y4m").read_bytes())
    (mixed / "broken.jpg").write_bytes(b"not a picture")
    write_footage(mixed / "short.y4m", count=3)
    write_footage(mixed / "small.y4m", count=8, width=64, height=32)
    done: list[tuple[int, int]] = []
    target = tmp_path / "corpus"
    target.mkdir()
    for name in (path.name, DESCRIPTION_FILE):  # so that nothing need be coded again
        (target / name).write_bytes((corpus / name).read_bytes())

    with caplog.at_level(logging.WARNING):
        usable = build_corpus(mixed, target, CONFIG, report=lambda *counts: done.append(counts))

    assert usable == 1
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    said = caplog.text
    assert "broken.jpg" in said
    assert "short.y4m: it has 3 frames only" in said
    assert "small.y4m: 64x32 is smaller than a patch of 64" in said


def test_footage_of_which_nothing_can_be_used_is_refused(tmp_path: Path) -> None:
    write_footage(tmp_path / "short.y4m", count=3)
    with pytest.raises(ConfigError, match="none of the 1 shots"):
        build_corpus(tmp_path, tmp_path / "corpus", CONFIG)


def test_what_a_mask_covers_is_never_cut(data: Path, tmp_path: Path) -> None:
    # 160x128 with patches of 64 at multiples of 32: only the right bottom ones are free.
    masks = ("river.y4m 0,0,64,128", "river.y4m 0,0,160,40", "other.y4m 0,0,160,128")
    config = replace(CONFIG, masks=masks, bitrates_bps=(40_000_000,), moments=4)
    build_corpus(data, tmp_path, config)
    _, arrays = _shard(tmp_path)
    frames = [moving_frame(index, width=160, height=128) for index in range(8)]
    for patch in arrays["hr_y"][:, 0]:
        assert any(
            np.array_equal(frame.y[64:128, x : x + 64], patch) for frame in frames for x in (64, 96)
        )


def test_a_mask_that_leaves_no_place_and_one_on_a_still_are_refused(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "river.y4m").write_bytes((data / "river.y4m").read_bytes())
    (mixed / "still.png").touch()
    (mixed / "secret.png").touch()
    masks = ("river.y4m 60,60,100,70", "still.png 0,0,8,8")
    config = replace(CONFIG, masks=masks, leave_out=("secret*",), bitrates_bps=(40_000_000,))
    config = replace(config, patch=128)
    with caplog.at_level(logging.WARNING), pytest.raises(ConfigError, match="none of the 2 shots"):
        build_corpus(mixed, tmp_path / "corpus", config)
    assert "river.y4m: its masks leave no place for a patch" in caplog.text
    assert "still.png: a mask lies still" in caplog.text


def test_uncoded_lr_is_shrunk_by_bicubic_and_of_unknown_quantiser(
    data: Path, tmp_path: Path
) -> None:
    config = replace(CONFIG, codecs=("none",), bitrates_bps=(), frames=6)
    build_corpus(data, tmp_path, config)
    _, arrays = _shard(tmp_path)
    assert len(arrays["lr_y"]) == 2 * 2
    assert np.isnan(arrays["quantiser"]).all()
    scaler = BicubicScaler(Size(width=80, height=64))
    whole = [scaler.scale(moving_frame(index, width=160, height=128)).y for index in range(6)]
    for window in arrays["lr_y"]:
        for plane in window:
            assert any(
                np.array_equal(lr[y : y + 32, x : x + 32], plane)
                for lr in whole
                for y in (0, 16, 32)
                for x in (0, 16, 32, 48)
            )


def test_a_corpus_from_before_a_setting_existed_was_cut_with_its_default(
    data: Path, corpus: Path, tmp_path: Path
) -> None:
    path, _ = _shard(corpus)
    (tmp_path / path.name).write_bytes(path.read_bytes())
    description = json.loads((corpus / DESCRIPTION_FILE).read_text())
    for name in ("codecs", "exposures", "masks", "leave_out"):
        del description[name]
    (tmp_path / DESCRIPTION_FILE).write_text(json.dumps(description))
    assert build_corpus(data, tmp_path, CONFIG) == 1
    with pytest.raises(ConfigError, match="cut for another recipe"):
        build_corpus(data, tmp_path, replace(CONFIG, masks=("river.y4m 0,0,2,2",)))
    (tmp_path / DESCRIPTION_FILE).write_text("[")
    with pytest.raises(ConfigError, match="cut for another recipe"):
        build_corpus(data, tmp_path, CONFIG)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codecs": ("vp9",)}, "codecs must be of"),
        ({"codecs": ()}, "codecs must be of"),
        ({"codecs": ("none",)}, "none when nothing is coded"),
        ({"exposures": 4}, "exposures must be odd, got 4"),
        ({"masks": ("river.y4m",)}, "must look like"),
        ({"patch": 48}, "patch 48 must be a multiple of 32"),
        ({"bitrates_bps": ()}, "at least one bitrate"),
        ({"frames": 4}, "4 frames are too few"),
        ({"moments": 0}, "moments must be at least 1"),
        ({"lookahead": 3}, "lookahead 3 does not fit window 3"),
    ],
)
def test_what_cannot_be_cut_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **change)  # type: ignore[arg-type]  # values of several types
