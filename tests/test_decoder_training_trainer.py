import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from decoder.edvr.live import TRUNK_PARTS, LiveEdvr
from decoder.training.first_weights import begin_with
from decoder.training.networks import build_network
from decoder.training.publish import load_trained, publish
from decoder.training.recipe import Recipe, Schedule
from decoder.training.trainer import (
    Gain,
    Trainer,
    TrainingCollapsed,
    psnr,
    rate_at,
)
from stream.errors import ConfigError
from tests.training_media import TINY, tiny_recipe, write_corpus

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def _state(folder: Path) -> dict[str, Any]:  # Any: a checkpoint's values are of many types
    state: dict[str, Any] = torch.load(folder / "checkpoint.pt", weights_only=True)
    return state


def _live(trainer: Trainer) -> LiveEdvr:
    assert isinstance(trainer.network, LiveEdvr)
    return trainer.network


def _average(trainer: Trainer) -> LiveEdvr:
    assert isinstance(trainer.average, LiveEdvr)
    return trainer.average


def _stop_after(recipe: Recipe, corpus: Path, folder: Path, steps: int) -> None:
    """Train as if the process had been killed after `steps` steps."""
    trainer = Trainer(recipe, corpus, folder, resume=False)
    validate = trainer._validate

    def validate_until_killed() -> Gain:
        if trainer.step > steps:
            raise KeyboardInterrupt
        return validate()

    trainer._validate = validate_until_killed  # type: ignore[method-assign]  # only for the kill
    with pytest.raises(KeyboardInterrupt):
        trainer.run()


def _assert_equal(one: object, other: object, place: str = "") -> None:
    assert type(one) is type(other), place
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        assert torch.equal(one, other), place
    elif isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys(), place
        for key in one:
            _assert_equal(one[key], other[key], f"{place}/{key}")
    elif isinstance(one, list) and isinstance(other, list):
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            _assert_equal(a, b, f"{place}/{index}")
    else:
        assert one == other, place


def test_a_resumed_run_ends_with_the_very_bits_of_an_uninterrupted_one(
    corpus: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe(steps=6)
    Trainer(recipe, corpus, tmp_path / "whole", resume=False).run()

    _stop_after(recipe, corpus, tmp_path / "halves", 2)
    assert _state(tmp_path / "halves")["step"] == 2
    resumed = Trainer(recipe, corpus, tmp_path / "halves", resume=True)
    assert resumed.step == 2
    resumed.run()

    assert _state(tmp_path / "whole")["step"] == 6
    _assert_equal(_state(tmp_path / "whole"), _state(tmp_path / "halves"))


def test_another_seed_trains_other_weights(corpus: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        Trainer(tiny_recipe(steps=2, seed=seed), corpus, tmp_path / str(seed), resume=False).run()

    one, other = (_state(tmp_path / str(seed))["network"] for seed in (1, 2))
    assert not torch.equal(one["fuse.conv_last.weight"], other["fuse.conv_last.weight"])


def test_training_lowers_the_loss_and_moves_the_offsets(corpus: Path, tmp_path: Path) -> None:
    # The shards repeat samples, which a network learns quickly and Lanczos does not know.
    recipe = tiny_recipe(
        steps=50, learning_rate=1e-2, batch=2, validate_every=50, average_decay=0.5
    )
    trainer = Trainer(recipe, corpus, tmp_path, resume=False)
    losses = [trainer._one_step()]

    trainer.run()

    log = EventAccumulator(str(tmp_path / "logs")).Reload()
    (gain,) = [event.value for event in log.Scalars("gain_db/mean")]
    (loss,) = [event.value for event in log.Scalars("loss")]
    assert gain > 0.1
    assert loss < 0.97 * losses[0]
    packs = _live(trainer).fuse.align.dcn_l1.conv_offset
    assert packs.weight.detach().abs().max() > 0


def test_a_checkpoint_can_be_published_and_continued_for_longer(
    corpus: Path, tmp_path: Path
) -> None:
    Trainer(tiny_recipe(steps=2), corpus, tmp_path, resume=False).run()

    network, recipe = load_trained(tmp_path / "checkpoint.pt")
    assert (recipe["name"], recipe["trained_steps"]) == ("tiny-x2", 2)
    average = _state(tmp_path)["average"]
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, average[name]), name

    longer = Trainer(tiny_recipe(steps=4, learning_rate=1e-4), corpus, tmp_path, resume=True)
    longer.run()
    assert _state(tmp_path)["step"] == 4
    assert longer.optimizer.param_groups[0]["base_lr"] == 1e-4


def test_offsets_that_run_away_stop_the_training(corpus: Path, tmp_path: Path) -> None:
    trainer = Trainer(tiny_recipe(), corpus, tmp_path, resume=False)
    offsets = _live(trainer).fuse.align.dcn_l1.conv_offset
    with torch.no_grad():
        offsets.weight[: len(offsets.weight) * 2 // 3] = 0.3
    with pytest.raises(TrainingCollapsed, match=r"dcn_l1.*reached 0\.30 at step 0"):
        trainer.run()
    assert not trainer.checkpoint.exists(), "a hopeless state is not kept"


def test_large_masks_are_no_collapse(corpus: Path, tmp_path: Path) -> None:
    trainer = Trainer(tiny_recipe(steps=1), corpus, tmp_path, resume=False)
    offsets = _live(trainer).fuse.align.dcn_l1.conv_offset
    with torch.no_grad():
        offsets.weight[len(offsets.weight) * 2 // 3 :] = 0.9
    trainer.run()


def test_a_loss_that_is_no_number_stops_the_training_and_leaves_the_weights(
    corpus: Path, tmp_path: Path
) -> None:
    trainer = Trainer(tiny_recipe(), corpus, tmp_path, resume=False)
    before = _live(trainer).fuse.fusion.weight.detach().clone()
    with torch.no_grad():
        bias = _live(trainer).fuse.conv_last.bias
        assert bias is not None
        bias[0] = math.nan
    with pytest.raises(TrainingCollapsed, match="loss is nan at step 0"):
        trainer.run()
    assert torch.equal(_live(trainer).fuse.fusion.weight, before)


def test_an_untrained_network_gains_nothing_over_lanczos(corpus: Path, tmp_path: Path) -> None:
    trainer = Trainer(tiny_recipe(), corpus, tmp_path, resume=False)
    gain = trainer._validate()
    assert gain.psnr_db == pytest.approx(0, abs=1e-3)
    assert gain.detail == pytest.approx(0, abs=1e-4)


def test_some_windows_are_shown_blind_and_some_as_one_still_frame(
    corpus: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe(blind_ratio=0.25, still_ratio=0.5)
    trainer = Trainer(recipe, corpus, tmp_path, resume=False)
    drawn = trainer.training.draw(np.random.default_rng(1), 400, crop=32)
    kept = drawn.lr[0].clone()

    shown = trainer._degrade_knowledge(drawn)

    blind = (shown.quantiser == -1).all(dim=1)
    known = (shown.quantiser == drawn.quantiser).all(dim=1)
    assert (blind | known).all()
    assert 60 < blind.sum() < 140
    reference = TINY.reference
    for plane, before in zip(shown.lr, drawn.lr, strict=True):
        still = (plane == before[:, reference : reference + 1]).flatten(1).all(dim=1)
        moving = (plane == before).flatten(1).all(dim=1)
        assert (still | moving).all()
        assert 140 < still.sum() < 260
    assert torch.equal(drawn.lr[0], kept), "the drawn batch itself is not written to"


def test_offset_layers_learn_slower(corpus: Path, tmp_path: Path) -> None:
    trainer = Trainer(tiny_recipe(offset_rate=0.1), corpus, tmp_path, resume=False)
    trainer._one_step()
    rates = {group["lr"] for group in trainer.optimizer.param_groups}
    assert min(rates) == pytest.approx(0.1 * max(rates))
    slow = min(trainer.optimizer.param_groups, key=lambda group: float(group["lr"]))
    names = {id(p): name for name, p in trainer.network.named_parameters()}
    assert {names[id(p)].rpartition(".")[0].rpartition(".")[2] for p in slow["params"]} == {
        "conv_offset"
    }


def test_a_second_stage_may_leave_the_trunk_nearly_as_it_is(corpus: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(trunk_rate=0.0, warm_up_steps=0, learning_rate=1e-2)
    trainer = Trainer(recipe, corpus, tmp_path, resume=False)
    before = {name: weight.clone() for name, weight in trainer.network.state_dict().items()}
    trainer.run()
    after = trainer.network.state_dict()
    moved = {name for name, weight in before.items() if not torch.equal(after[name], weight)}
    assert not {name for name in moved if name.startswith(TRUNK_PARTS)} - {
        "fuse.fusion.weight",
        "fuse.fusion.bias",
    }
    assert "fuse.fusion.weight" in moved


def test_the_rate_rises_linearly_and_falls_as_a_cosine_to_zero() -> None:
    schedule = Schedule(steps=110, warm_up_steps=10)
    assert [rate_at(step, schedule) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert rate_at(10, schedule) == 1
    assert rate_at(60, schedule) == pytest.approx(0.5)
    assert rate_at(110, schedule) == pytest.approx(0)
    assert rate_at(0, Schedule(steps=5, warm_up_steps=0)) == 1


def test_psnr_is_in_levels_of_eight_bits_for_each_sample_of_a_batch() -> None:
    target = torch.zeros(2, 1, 4, 4)
    output = torch.stack((torch.full((1, 4, 4), 1 / 128), torch.full((1, 4, 4), 2 / 128)))
    assert psnr(output, target).tolist() == pytest.approx([48.1308, 42.1102], abs=1e-3)


def test_the_checkpoint_of_another_network_or_no_checkpoint_is_refused(
    corpus: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe(steps=1)
    Trainer(recipe, corpus, tmp_path, resume=False).run()
    wider = replace(recipe, network=replace(TINY, channels=12))
    with pytest.raises(ConfigError, match="is of another network"):
        Trainer(wider, corpus, tmp_path, resume=True)
    (tmp_path / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(ConfigError, match="is not a training checkpoint"):
        Trainer(recipe, corpus, tmp_path, resume=True)


def test_averaged_weights_follow_the_trained_ones(corpus: Path, tmp_path: Path) -> None:
    trainer = Trainer(tiny_recipe(average_decay=0.5), corpus, tmp_path, resume=False)
    start = LiveEdvr(TINY).fuse.conv_last.weight.detach()
    for _ in range(3):
        before = _average(trainer).fuse.conv_last.weight.detach().clone()
        trainer._one_step()
        after = _average(trainer).fuse.conv_last.weight.detach()
        trained = _live(trainer).fuse.conv_last.weight.detach()
        share = 1 - min(0.5, (1 + trainer.step) / (10 + trainer.step))
        torch.testing.assert_close(after, before.lerp(trained, share))
        trainer.step += 1
    assert not torch.equal(_average(trainer).fuse.conv_last.weight, start)


def test_a_second_stage_starts_from_the_averaged_weights_of_the_first(
    corpus: Path, tmp_path: Path
) -> None:
    first = Trainer(tiny_recipe(), corpus, tmp_path / "first", resume=False)
    first.run()
    second = Trainer(
        tiny_recipe(), corpus, tmp_path / "second", resume=False, start=first.checkpoint
    )
    assert second.step == 0
    for name, weight in first.average.state_dict().items():
        assert torch.equal(second.network.state_dict()[name], weight), name
        assert torch.equal(second.average.state_dict()[name], weight), name


def test_what_came_before_the_last_stage_is_told_by_the_model(corpus: Path, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second", "third")]
    start = None
    for steps, folder in zip((1, 2, 3), folders, strict=True):
        stage = Trainer(tiny_recipe(steps=steps), corpus, folder, resume=False, start=start)
        stage.run()
        start = stage.checkpoint
    resumed = Trainer(tiny_recipe(steps=4), corpus, folders[2], resume=True)
    assert resumed.earlier == [[1, 2], [2, 2]]
    told = publish(folders[2] / "checkpoint.pt", tmp_path / "model", version="1").manifest
    expected = "1 steps of 2 patches, then 2 steps of 2 patches, then 3 steps of 2 patches; "
    assert told.trained_on.startswith(expected)


def _alone(**network: int) -> Recipe:
    recipe = tiny_recipe(neighbours=False, learning_rate=1e-2)
    return replace(recipe, network=replace(TINY, **network))


def test_a_first_stage_without_neighbours_leaves_the_alignment_as_it_was(
    corpus: Path, tmp_path: Path
) -> None:
    trainer = Trainer(_alone(), corpus, tmp_path, resume=False)
    before = {name: weight.clone() for name, weight in trainer.network.state_dict().items()}
    trainer.run()
    after = trainer.network.state_dict()

    moved = {name for name, weight in before.items() if not torch.equal(after[name], weight)}
    assert moved == {name for name in before if name.startswith(TRUNK_PARTS)}
    assert not after["fuse.fusion.weight"][:, TINY.channels :].any()


def test_a_second_stage_may_align_otherwise_and_begins_where_the_first_ended(
    corpus: Path, tmp_path: Path
) -> None:
    first = Trainer(_alone(), corpus, tmp_path / "first", resume=False)
    first.run()
    recipe = _alone(align_level=2, near_channels=6)
    second = Trainer(recipe, corpus, tmp_path / "second", resume=False, start=first.checkpoint)

    for _, batch in second.validation:
        expected = _average(first)(*batch.lr, batch.quantiser)
        for network in (second.network.eval(), second.average):
            for ours, theirs in zip(network(*batch.lr, batch.quantiser), expected, strict=True):
                torch.testing.assert_close(ours, theirs)


def test_a_network_that_enlarges_otherwise_begins_with_the_same_trunk_and_lanczos(
    corpus: Path, tmp_path: Path
) -> None:
    first = Trainer(_alone(), corpus, tmp_path / "first", resume=False)
    first.run()
    smaller = first.average.state_dict()
    network = build_network(replace(TINY, scale=3))
    assert isinstance(network, LiveEdvr)
    assert begin_with(network, first.average)
    taken = network.state_dict()
    for name in ("extract.conv_first.weight", "fuse.reconstruction.0.conv1.weight"):
        assert torch.equal(taken[name], smaller[name])
    assert smaller["fuse.conv_last.weight"].any()
    assert not taken["fuse.conv_last.weight"].any()


def test_a_second_stage_with_another_trunk_is_refused(corpus: Path, tmp_path: Path) -> None:
    first = Trainer(_alone(), corpus, tmp_path / "first", resume=False)
    first.run()
    with pytest.raises(ConfigError, match="is of another network than recipe tiny-x2"):
        Trainer(
            _alone(reconstruct_blocks=2),
            corpus,
            tmp_path / "second",
            resume=False,
            start=first.checkpoint,
        )
