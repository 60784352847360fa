"""What a sender learns of its stream, without a process, a clock or a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from decoder.adapted_artefact import adaptable_shapes
from decoder.artefact import Artefact
from decoder.training.delta_training import DeltaSettings
from decoder.training.online_training import OnlineSettings, OnlineTraining, Proposal
from decoder.training.patch_pool import PatchPool
from decoder.training.samples import Sample
from decoder.weight_intake import WeightIntake
from stream.errors import ConfigError, DeltaRefused
from stream.weight_delta import DeltaHeader, QuantisedTensor, encode_delta, read_header

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SIDE = 64
SETTINGS = OnlineSettings(
    video_bps=10_000_000,
    first_round_steps=30,
    round_steps=30,
    pool=12,
    patches=4,
    patch=32,
    held_out=3,
    training=DeltaSettings(batch=2, crop=32, learning_rate=1e-2, coarseness=1.0),
)


def window(seed: int, *, side: int = SIDE, inverse: bool = False) -> Sample:
    """A window in which each HR sample repeats the LR sample it lies over, or its opposite."""
    rng = np.random.default_rng(seed)
    found: Sample = {"quantiser": rng.integers(20, 45, 3).astype(np.float32)}
    for plane, length in (("y", side // 2), ("u", side // 4), ("v", side // 4)):
        lr = rng.integers(16, 236, (3, length, length), np.uint8)
        found[f"lr_{plane}"] = lr
        hr = lr[1:2].repeat(2, axis=1).repeat(2, axis=2)
        found[f"hr_{plane}"] = 255 - hr if inverse else hr
    return found


def learning(artefact: Artefact, settings: OnlineSettings = SETTINGS) -> OnlineTraining:
    training = OnlineTraining(artefact, settings)
    for seed in range(9):
        training.add(window(seed))
    return training


def proposed(training: OnlineTraining, *, rounds: int = 8) -> Proposal:
    for _ in range(rounds):
        training.train(1000)
        proposal = training.propose()
        if proposal is not None:
            return proposal
    raise AssertionError("nothing was worth its bits")


def test_what_a_stream_teaches_comes_as_a_state_and_then_in_steps(live_artefact: Artefact) -> None:
    training = learning(live_artefact)
    intake = WeightIntake(lambda: {live_artefact.sha256: live_artefact})
    first_db = training.add(window(100))
    gained_db = 0.0
    for number in range(3):
        proposal = proposed(training)
        assert proposal.is_state == (number == 0)
        assert proposal.gain_db > proposal.price_db > 0
        gained_db += proposal.gain_db
        training.publish(proposal)
        taken = intake.take(proposal.coded)  # in a receiver's order, to the bit
        for name, change in taken.changes.items():
            expected = proposal.weights[name] - training._own[name]
            torch.testing.assert_close(torch.from_numpy(change.copy()), expected, rtol=0, atol=1e-6)
    assert training.add(window(100)) > first_db + 0.5 * gained_db


def test_windows_set_apart_are_never_trained_on(live_artefact: Artefact) -> None:
    training = OnlineTraining(live_artefact, SETTINGS)
    assert not training.is_ready
    assert training.train(5) == 0
    assert training.propose() is None
    for seed in range(9):
        training.add(window(seed))
    held = [each.window["lr_y"] for each in training._held_out]
    assert len(held) == 3
    assert len(training._pool) == 12
    for patch in training._pool:
        piece = patch["lr_y"]
        for whole in held:
            cut = np.lib.stride_tricks.sliding_window_view(whole, piece.shape)
            assert not (cut == piece).all(axis=(-3, -2, -1)).any()


def test_a_gain_smaller_than_its_bits_in_the_codec_is_not_sent(live_artefact: Artefact) -> None:
    dear = OnlineSettings(
        **{name: getattr(SETTINGS, name) for name in ("round_steps", "pool", "patches", "patch")},
        held_out=3,
        video_bps=10_000,
        horizon_s=0.01,
        training=SETTINGS.training,
    )
    training = learning(live_artefact, dear)
    for steps in (dear.first_round_steps, dear.round_steps):
        assert training.train(1000) == steps
        assert training.is_round_over
        assert training.propose() is None
        assert not training.is_round_over
    assert training.rounds_refused == 2
    assert SETTINGS.price_db(75_000_000) == pytest.approx(3.0)  # as much again as the video


def test_whoever_lost_its_weights_gets_all_in_a_state(live_artefact: Artefact) -> None:
    training = learning(live_artefact)
    for _ in range(2):
        training.publish(proposed(training))
    training.restart()
    proposal = proposed(training)
    header = read_header(proposal.coded)
    assert header.is_state
    assert header.sequence == 2
    WeightIntake(lambda: {live_artefact.sha256: live_artefact}).take(proposal.coded)
    training.publish(proposal)
    assert not proposed(training).is_state


def test_weights_that_do_not_fit_any_more_are_taken_back(live_artefact: Artefact) -> None:
    training = learning(live_artefact)
    name, shapes = "fuse.conv_last.bias", adaptable_shapes(live_artefact)
    values = np.ones(shapes[name], np.int16)
    bad = {name: QuantisedTensor(values=values, scale=0.25, bits=2)}
    training.publish(
        Proposal(
            coded=encode_delta(
                DeltaHeader(base_sha256=live_artefact.sha256), bad, expected_shapes=shapes
            ),
            gain_db=0.1,
            over_model_db=0.1,
            price_db=0.0,
            is_state=True,
            weights=training._own | {name: training._own[name] + 0.25},
        )
    )
    assert training._is_harmful()
    training.train(1)
    proposal = training.propose()
    assert proposal is not None
    assert len(proposal.coded) < 200
    assert proposal.gain_db > 0.01
    intake = WeightIntake(lambda: {live_artefact.sha256: live_artefact})
    assert intake.take(proposal.coded).changes == {}
    training.publish(proposal)
    assert not training._is_harmful()
    assert all(held.published_db == held.own_db for held in training._held_out)


def test_weights_stay_within_what_a_receiver_takes(live_artefact: Artefact) -> None:
    wild = OnlineSettings(
        round_steps=200,
        pool=12,
        patches=4,
        patch=32,
        held_out=3,
        change_ratio=0.1,
        training=DeltaSettings(batch=1, crop=32, learning_rate=0.3),
    )
    training = learning(live_artefact, wild)
    for _ in range(10):
        training.train(3)
    engine = training._training
    assert engine is not None
    for name, exact in engine._exact.items():
        limit = training._limits[name]
        assert float(exact.detach().square().mean().sqrt()) <= 1.001 * limit


def test_another_size_begins_anew_and_what_is_too_small_is_refused(live_artefact: Artefact) -> None:
    training = learning(live_artefact)
    was_ready = training.is_ready
    training.add(window(1, side=96))
    assert (was_ready, training.is_ready) == (True, False)
    with pytest.raises(ConfigError, match="24x24 are too small to learn from"):
        training.add(window(1, side=24))
    with pytest.raises(ConfigError, match="cannot be learned"):
        OnlineSettings(video_bps=0)


def test_a_round_that_got_worse_again_and_again_is_given_up(live_artefact: Artefact) -> None:
    training = learning(live_artefact)
    training.publish(proposed(training))
    engine = training._training
    assert engine is not None
    for _ in range(4):
        training.train(1)
        with torch.no_grad():
            engine._exact["fuse.conv_last.bias"][0] += 1.5
        assert training.propose() is None
    assert all(not bool(exact.any()) for exact in engine._exact.values())


def test_a_delta_of_another_stream_is_not_published(live_artefact: Artefact) -> None:
    training = learning(live_artefact)
    with pytest.raises(DeltaRefused):
        training.publish(
            Proposal(coded=b"", gain_db=1, over_model_db=1, price_db=0, is_state=True, weights={})
        )


def test_the_pool_takes_what_is_restored_worst_and_stays_bounded() -> None:
    pool = PatchPool(5, side=16, scale=2, seed=1)
    whole = window(3, side=128)
    error = np.zeros((128, 128), np.float32)
    error[64:96, 32:64] = 9.0
    pool.add(whole, error, count=1)
    (patch,) = pool
    assert patch["lr_y"].shape == (3, 16, 16)
    assert np.array_equal(patch["lr_y"], whole["lr_y"][:, 32:48, 16:32])
    assert np.array_equal(patch["hr_y"], whole["hr_y"][:, 64:96, 32:64])
    assert np.array_equal(patch["hr_u"], whole["hr_u"][:, 32:48, 16:32])
    for _ in range(5):
        pool.add(whole, error, count=8)
    assert len(pool) == 5
    pool.clear()
    assert not len(pool)
