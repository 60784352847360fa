from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from decoder.training.samples import Batch, Samples, is_validation
from stream.errors import ConfigError
from tests.training_media import HELD_OUT_SOURCE, TRAINING_SOURCE, write_corpus, write_shard


def _enlarged(plane: Tensor) -> Tensor:
    return plane.repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)


def _is_aligned(batch: Batch) -> bool:
    """Whether each HR sample lies over its LR sample, as it does in the shards."""
    return all(
        torch.equal(hr, _enlarged(lr[:, 1:2])) for lr, hr in zip(batch.lr, batch.hr, strict=True)
    )


def test_a_batch_has_the_shapes_and_ranges_that_a_network_takes(tmp_path: Path) -> None:
    samples = Samples(write_corpus(tmp_path), validation=False)

    batch = samples.draw(np.random.default_rng(1), 5, crop=32)

    assert [tuple(plane.shape) for plane in batch.lr] == [(5, 3, 16, 16), *[(5, 3, 8, 8)] * 2]
    assert [tuple(plane.shape) for plane in batch.hr] == [(5, 1, 32, 32), *[(5, 1, 16, 16)] * 2]
    assert batch.quantiser.shape == (5, 3)
    for plane in (*batch.lr, *batch.hr):
        assert plane.dtype == torch.float32
        assert (16 - 128) / 128 <= plane.min() < plane.max() <= (235 - 128) / 128
    assert (batch.quantiser >= 20 / 51).all()
    assert (batch.quantiser < 45 / 51).all()


@pytest.mark.parametrize("crop", [32, 64])
def test_crops_and_mirrors_move_lr_and_hr_together(tmp_path: Path, crop: int) -> None:
    samples = Samples(write_corpus(tmp_path), validation=False)
    rng = np.random.default_rng(1)

    batch = samples.draw(rng, 32, crop=crop)

    assert _is_aligned(batch)
    shifted = Batch(
        lr=(batch.lr[0].roll(1, dims=-1), *batch.lr[1:]), hr=batch.hr, quantiser=batch.quantiser
    )
    assert not _is_aligned(shifted)


def test_all_eight_mirrors_and_turns_of_a_patch_are_shown(tmp_path: Path) -> None:
    write_shard(tmp_path, TRAINING_SOURCE, windows=1)
    samples = Samples(tmp_path, validation=False)
    patch = torch.from_numpy(np.load(next(tmp_path.glob("*.npz")))["hr_y"][0, 0])

    drawn = samples.draw(np.random.default_rng(1), 64, crop=64).hr[0][:, 0]

    views = [
        (view.float() - 128) / 128
        for turned in (patch, patch.T)
        for view in (turned, turned.flip(0), turned.flip(1), turned.flip(0, 1))
    ]
    seen = {
        next(index for index, view in enumerate(views) if torch.equal(view, shown))
        for shown in drawn
    }
    assert seen == set(range(8))


def test_the_same_seed_draws_the_same_and_another_one_something_else(tmp_path: Path) -> None:
    samples = Samples(write_corpus(tmp_path), validation=False)

    one, again, other = (
        samples.draw(np.random.default_rng(seed), 4, crop=32).hr[0] for seed in (1, 1, 2)
    )

    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_shot_with_many_windows_is_drawn_as_often_as_one_with_few(tmp_path: Path) -> None:
    write_shard(tmp_path, TRAINING_SOURCE, piece=0, windows=60, seed=1)
    few = write_shard(tmp_path, TRAINING_SOURCE, piece=1, windows=2, seed=1)
    samples = Samples(tmp_path, validation=False)
    windows = (torch.from_numpy(np.load(few)["lr_y"][:, 1]).float() - 128) / 128
    means = windows.mean(dim=(1, 2))  # which mirrors and turns keep

    drawn = samples.draw(np.random.default_rng(1), 300, crop=64).lr[0][:, 1].mean(dim=(1, 2))

    of_few = int(torch.isclose(drawn[:, None], means, atol=1e-5, rtol=0).any(dim=1).sum())
    assert 110 < of_few < 190


def test_a_source_is_held_out_whole_or_not_at_all(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    write_shard(tmp_path, HELD_OUT_SOURCE, piece=3)

    training, validation = (Samples(tmp_path, validation=held).paths for held in (False, True))

    assert {path.stem.rpartition("-")[0] for path in training} == {TRAINING_SOURCE}
    assert {path.stem.rpartition("-")[0] for path in validation} == {HELD_OUT_SOURCE}
    assert (len(training), len(validation)) == (2, 2)


def test_about_one_source_in_twelve_is_held_out_and_always_the_same() -> None:
    held = [is_validation(Path(f"clip{index}-0123456789.npz")) for index in range(1200)]
    assert 60 < sum(held) < 140
    assert held == [is_validation(Path(f"/else/clip{index}-abc.npz")) for index in range(1200)]


def test_validation_shows_every_rung_as_it_is(tmp_path: Path) -> None:
    shard = np.load(write_shard(tmp_path, HELD_OUT_SOURCE, windows=40))

    ((name, batch),) = Samples(tmp_path, validation=True).each_shot()

    assert name.startswith(HELD_OUT_SOURCE)
    shown = range(0, 40, 2)
    expected = (torch.from_numpy(shard["hr_y"][list(shown)]).float() - 128) / 128
    assert torch.equal(batch.hr[0], expected)


def test_an_unknown_quantiser_is_shown_as_minus_one(tmp_path: Path) -> None:
    path = write_shard(tmp_path, TRAINING_SOURCE)
    arrays = dict(np.load(path))
    arrays["quantiser"][:, 2] = np.nan
    np.savez(path, allow_pickle=False, **arrays)

    batch = Samples(tmp_path, validation=False).draw(np.random.default_rng(1), 8, crop=32)

    assert (batch.quantiser[:, 2] == -1).all()
    assert (batch.quantiser[:, :2] > 0).all()


def test_an_interrupted_shard_is_not_read_and_no_shard_is_an_error(tmp_path: Path) -> None:
    (tmp_path / f"{TRAINING_SOURCE}-0.partial.npz").write_bytes(b"half a file")
    with pytest.raises(ConfigError, match="no training shots"):
        Samples(tmp_path, validation=False)
    write_shard(tmp_path, TRAINING_SOURCE)
    with pytest.raises(ConfigError, match="no validation shots"):
        Samples(tmp_path, validation=True)


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    path = write_shard(tmp_path, TRAINING_SOURCE)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ConfigError, match=path.name):
        Samples(tmp_path, validation=False)
