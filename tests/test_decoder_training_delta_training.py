from collections.abc import Mapping

import numpy as np
import pytest
import torch

from decoder.edvr.live import LiveEdvr
from decoder.training.delta_training import (
    BITS,
    DeltaSettings,
    DeltaTraining,
    changed_weights,
    run_with,
)
from decoder.training.samples import Sample, to_batch
from decoder.training.trainer import TrainingCollapsed, psnr
from stream.errors import ConfigError
from tests.training_media import TINY

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SIDE = 64


def _samples(count: int, *, seed: int = 0) -> list[Sample]:
    """Windows in which each HR sample repeats the LR sample it lies over."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        sample: Sample = {"quantiser": rng.integers(20, 45, 3).astype(np.float32)}
        for plane, side in (("y", SIDE // 2), ("u", SIDE // 4), ("v", SIDE // 4)):
            lr = rng.integers(16, 236, (3, side, side), np.uint8)
            sample[f"lr_{plane}"] = lr
            sample[f"hr_{plane}"] = lr[1:2].repeat(2, axis=1).repeat(2, axis=2)
        found.append(sample)
    return found


def _adaptable(network: LiveEdvr) -> list[str]:
    return [name for name, _ in network.named_parameters() if "align" not in name]


def _training(settings: DeltaSettings | None = None, *, count: int = 8) -> DeltaTraining:
    network = LiveEdvr(TINY)
    settings = settings or DeltaSettings(batch=2, crop=32, learning_rate=1e-2)
    return DeltaTraining(network, _samples(count), settings, adaptable=_adaptable(network))


def _score_db(network: LiveEdvr, weights: Mapping[str, torch.Tensor]) -> float:
    batch = to_batch(_samples(4, seed=9))
    with torch.no_grad():
        return float(psnr(run_with(network.eval(), weights, batch)[0], batch.hr[0]).mean())


def test_a_coded_change_brings_what_was_trained_and_leaves_the_network_alone() -> None:
    training = _training()
    before = {name: w.clone() for name, w in training.network.state_dict().items()}
    for step in range(60):
        training.step(step / 60)

    coded = training.quantised()

    network = LiveEdvr(TINY)
    network.load_state_dict(before)
    base = dict(network.named_parameters())
    assert _score_db(network, changed_weights(network, coded)) > _score_db(network, base) + 0.1
    for name, weight in training.network.state_dict().items():
        assert torch.equal(weight, before[name]), name
    most = (1 << (BITS - 1)) - 1
    for tensor in coded.values():
        assert np.abs(tensor.values).max() <= most


def test_before_rounding_the_exact_weights_run_and_after_it_the_coded_ones() -> None:
    training = _training(DeltaSettings(batch=2, crop=32, quantise_from=0.5))
    for progress in (0.0, 0.1, 0.2):
        training.step(progress)
    running = training._weights()
    assert any(
        not torch.allclose(running[name], weight)
        for name, weight in changed_weights(training.network, training.quantised()).items()
    )

    training.step(0.6)

    running = training._weights()
    for name, weight in changed_weights(training.network, training.quantised()).items():
        torch.testing.assert_close(running[name].detach(), weight, rtol=0, atol=1e-6)


def test_what_rounding_takes_away_stays_and_adds_up() -> None:
    training = _training(DeltaSettings(batch=2, crop=32, learning_rate=1e-3, quantise_from=0.0))
    training.step(0.0)
    name = "fuse.conv_last.weight"
    exact = training._exact[name]
    with torch.no_grad():  # a weight that gradients have brought to 0.3 of a step
        training._steps[name] = exact.abs().max() * 10
        exact.zero_()
        exact[0, 0, 0, 0] = 0.3 * training._steps[name]
        assert training._integers(name, training._steps[name])[0, 0, 0, 0] == 0
        exact[0, 0, 0, 0] += 0.3 * training._steps[name]
        assert training._integers(name, training._steps[name])[0, 0, 0, 0] == 1


@pytest.mark.parametrize(
    ("part", "prefix"),
    [("last", "fuse.conv_last."), ("fuse", "fuse."), ("most", ""), ("all", "")],
)
def test_only_the_part_that_is_trained_changes(part: str, prefix: str) -> None:
    settings = DeltaSettings(part=part, batch=1, crop=32)  # type: ignore[arg-type]  # of Part
    training = _training(settings)
    for step in range(3):
        training.step(step / 3)
    changed = training.quantised()
    assert changed
    assert all(name.startswith(prefix) and "align" not in name for name in changed)


def test_the_same_seed_trains_the_same_change() -> None:
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        training = _training()
        for step in range(4):
            training.step(step / 4)
        found.append(training.quantised())
    assert found[0].keys() == found[1].keys()
    for name, tensor in found[0].items():
        assert tensor.scale == found[1][name].scale
        assert (tensor.values == found[1][name].values).all()


def test_a_loss_that_is_no_number_and_settings_that_make_no_sense_are_refused() -> None:
    training = _training()
    bias = training.network.fuse.conv_last.bias
    assert bias is not None
    bias[0] = torch.nan
    with pytest.raises(TrainingCollapsed, match="loss is nan after 0 steps"):
        training.step(0.0)
    with pytest.raises(ConfigError, match="nothing was cut"):
        _training(count=0)
    with pytest.raises(ConfigError, match="part must be of all, most, fuse, last"):
        DeltaSettings(part="first")  # type: ignore[arg-type]  # what is refused
    with pytest.raises(ConfigError, match="coarseness must be above 0"):
        DeltaSettings(coarseness=float("nan"))
