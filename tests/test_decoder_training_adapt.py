import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from decoder.adapted_artefact import adapt_artefact, adaptable_shapes
from decoder.artefact import Artefact, find_artefact
from decoder.backends import OnnxRuntimeConfig, open_backend
from decoder.training.adapt import Budget, adapt
from decoder.training.adaptation_footage import plan_pieces
from decoder.training.adaptation_proof import Proof, RungGain, prove
from decoder.training.adaptation_windows import AdaptationWindows, coding_of, cut_windows
from decoder.training.artefact_network import live_network
from decoder.training.cli import app
from decoder.training.delta_training import DeltaSettings, changed_weights
from decoder.training.publish import run_network
from decoder.weight_profile import profile_weights
from stream.command_line import run_command
from stream.errors import ConfigError
from stream.profile_file import LIMITS, Profile, decode_profile
from stream.weight_delta import decode_delta
from tests.training_media import write_footage

pytestmark = pytest.mark.usefixtures("one_torch_thread")

RATES = (100_000, 400_000)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("footage") / "match.y4m"
    return write_footage(path, count=40, width=192, height=192)


@pytest.fixture(scope="module")
def shipped() -> Artefact:
    return find_artefact("live-xs-x4")


@pytest.fixture(scope="module")
def windows(clip: Path) -> AdaptationWindows:
    coding = coding_of(scale=4, window=3, lookahead=1, bitrates_bps=RATES, codecs=("h264", "av1"))
    return cut_windows(plan_pieces([clip]), coding)


def _adapt(artefact: Artefact, windows: AdaptationWindows, steps: int) -> Proof:
    settings = DeltaSettings(batch=2, crop=64)
    windows = replace(windows, choose=windows.choose[::16], prove=windows.prove[::4])
    return adapt(artefact, windows, settings, Budget(seconds=1, steps=steps)).proof


def test_windows_are_cut_at_every_rate_of_every_codec_and_whole_pictures_prove(
    windows: AdaptationWindows,
) -> None:
    assert len(windows.train) >= 4096
    assert windows.train[0]["hr_y"].shape == (1, 192, 192)
    assert windows.train[0]["lr_y"].shape == (3, 48, 48)
    assert {rung for rung, _ in windows.prove} == {
        (codec, rate) for codec in ("h264", "av1") for rate in RATES
    }
    for _, sample in windows.prove:
        assert sample["hr_y"].shape == (1, 192, 192)
        assert np.isfinite(sample["quantiser"]).all()
    assert windows.choose


def test_footage_smaller_than_a_patch_or_too_short_to_set_apart_is_refused(
    tmp_path: Path, shipped: Artefact, windows: AdaptationWindows
) -> None:
    small = write_footage(tmp_path / "small.y4m", count=30, width=128, height=96)
    coding = coding_of(scale=4, window=3, lookahead=1, bitrates_bps=RATES, codecs=("h264",))
    with pytest.raises(ConfigError, match=r"small\.y4m is 128x96, smaller than a patch of 192"):
        cut_windows(plan_pieces([small]), coding)
    with pytest.raises(ConfigError, match="too short"):
        _adapt(shipped, AdaptationWindows(train=windows.train), 1)


def test_a_model_adapts_and_a_change_that_harms_anywhere_is_refused(
    shipped: Artefact, windows: AdaptationWindows
) -> None:
    assert _adapt(shipped, windows, 16).gain_db > 0.05

    network = live_network(shipped)
    weights = {name: weight.detach() for name, weight in network.named_parameters()}
    same = prove(network, weights, windows.prove[::4])
    assert [rung.gain_db for rung in same.rungs] == [0.0] * len(same.rungs)
    weights["fuse.conv_last.bias"] = weights["fuse.conv_last.bias"] + 0.5
    assert "is worse" not in str(same.refusal())
    assert "dB worse than the model as it is" in str(
        prove(network, weights, windows.prove[::4]).refusal()
    )


def _rung(gain_db: float, codec: str = "h264") -> RungGain:
    return RungGain(
        codec=codec, bitrate_bps=60_000, pictures=2, base_db=30.0, adapted_db=30.0 + gain_db
    )


def test_the_gate_asks_for_a_gain_and_no_loss_at_any_rate_of_any_codec() -> None:
    assert Proof(rungs=(_rung(0.5), _rung(0.0, "av1"))).refusal() is None
    harmed = Proof(rungs=(_rung(0.5), _rung(-0.25, "av1")))
    assert harmed.refusal() == "at 60 kb/s av1 it is 0.250 dB worse than the model as it is"
    assert harmed.of_codec("av1") == pytest.approx(-0.25)
    assert "less than 0.05" in str(Proof(rungs=(_rung(0.04),)).refusal())


def test_a_budget_is_of_steps_or_of_time() -> None:
    now_s = 100.0
    budget = Budget(seconds=60, steps=None, clock_s=lambda: now_s)
    assert budget.progress(5) == 0
    now_s = 130.0
    assert (budget.progress(5), budget.elapsed_s) == (0.5, 30)
    assert Budget(seconds=60, steps=20, clock_s=lambda: now_s).progress(5) == 0.25


def test_training_ends_early_when_nothing_gets_better(
    shipped: Artefact, windows: AdaptationWindows
) -> None:
    few = AdaptationWindows(
        train=windows.train[:2], choose=windows.choose[:2], prove=windows.prove[:1]
    )
    # Rates so high that every look is worse than the model as it is.
    settings = DeltaSettings(batch=1, crop=32, learning_rate=0.5, quantise_from=1.0)
    found = adapt(shipped, few, settings, Budget(seconds=1, steps=48))
    assert found.steps < 40
    assert not found.tensors
    assert "less than" in str(found.proof.refusal())


def _read(path: Path) -> Profile:
    return decode_profile(path.read_bytes())


def test_the_command_writes_a_profile_that_restores_as_training_did(
    clip: Path, shipped: Artefact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, scores = tmp_path / "match.profile", tmp_path / "scores.json"
    command = ["adapt", "live-xs-x4", "--clips", str(clip), "--out", str(out)]
    command += ["--steps", "8", "--bitrates", "400k", "--codecs", "h264", "--json", str(scores)]

    assert run_command(app, command) == 0

    assert "mean gain +" in capsys.readouterr().out
    profile = _read(out)
    assert (profile.info.name, profile.info.base_model) == ("match", "live-xs-x4")
    assert profile.info.gains["psnr_y_db"] > 0.05
    told = json.loads(scores.read_text())
    assert told["gain_db"] == pytest.approx(profile.info.gains["psnr_y_db"], abs=1e-3)
    assert told["coded_bytes"] == len(profile.delta)
    assert [rung["codec"] for rung in told["rungs"]] == ["h264"]

    shapes = adaptable_shapes(shipped)
    adapted = adapt_artefact(shipped, profile_weights(profile, shapes))
    delta = decode_delta(profile.delta, limits=LIMITS, expected_shapes=shapes)
    network = live_network(shipped)
    network.load_state_dict(changed_weights(network, delta.tensors))
    reference = shipped.reference()
    backend = open_backend(OnnxRuntimeConfig(), adapted, reference.size)
    try:
        features = [backend.extract(frame) for frame in reference.frames]
        restored = backend.fuse(features)
    finally:
        backend.close()
    for plane, expected in zip(restored, run_network(network, reference.frames), strict=True):
        assert np.abs(plane.astype(int) - expected.astype(int)).max() <= 1


def test_the_command_writes_nothing_when_the_model_did_not_get_better(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "match.profile"
    command = ["adapt", "live-xs-x2", "--clips", str(clip), "--out", str(out)]

    status = run_command(app, [*command, "--steps", "1", "--bitrates", "400k", "--codecs", "h264"])

    assert status == 1
    assert "no profile is written: " in capsys.readouterr().out
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "0"], "--minutes must be above 0"),
        (["--steps", "0"], "--steps must be at least 1"),
        (["--codecs", "vp8"], "--codecs must be of h264, av1"),
        (["--json", "nowhere/a.json"], "there is no folder nowhere"),
    ],
)
def test_settings_that_cannot_work_are_one_line(
    arguments: list[str], message: str, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["adapt", "live-xs-x4", "--clips", str(clip), "--out", "a.profile", *arguments]
    assert run_command(app, command) == 2
    assert message in capsys.readouterr().err


def test_what_is_adaptable_is_named_as_the_network_names_it(shipped: Artefact) -> None:
    shapes = adaptable_shapes(shipped)
    weights = dict(live_network(shipped).named_parameters())
    assert {name: tuple(weights[name].shape) for name in shapes} == shapes
