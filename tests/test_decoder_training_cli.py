import json
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from decoder.artefact import Artefact, find_artefact, list_artefacts, load_artefact
from decoder.backends import OnnxRuntimeConfig, OpenVinoConfig, open_backend
from decoder.edvr.live_config import LiveConfig
from decoder.edvr.network import Edvr, EdvrConfig
from decoder.edvr.planes import EdvrPlanes
from decoder.training.cli import TRAINING_LIBRARIES, app
from decoder.training.config import EvalConfig, ImportConfig, InfoConfig, TrainConfig
from decoder.training.corpus import CorpusConfig
from decoder.training.publish import load_trained, run_network
from decoder.training.recipe import Schedule
from stream.command_line import parse_command, run_command
from tests import edvr_numpy
from tests.profiles import profile_for
from tests.tiny_artefact import write_tiny_artefact
from tests.training_media import (
    HELD_OUT_SOURCE,
    TRAINING_SOURCE,
    moving_frame,
    write_corpus,
    write_footage,
)

pytestmark = pytest.mark.usefixtures("one_torch_thread")

ROOT = Path(__file__).parent.parent

RECIPE = """
name = "tiny-x2"
tier = "tiny"
[network]
scale = 2
channels = 8
near_channels = 4
deformable_groups = 2
extract_blocks = 0
reconstruct_blocks = 0
[corpus]
bitrates_bps = [20_000_000]
frames = 8
patch = 64
moments = 1
patches = 1
[schedule]
steps = 4
batch = 1
crop = 32
validate_every = 2
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two short clips, one of which is held out."""
    folder = tmp_path / "data"
    folder.mkdir()
    for source in (TRAINING_SOURCE, HELD_OUT_SOURCE):
        write_footage(folder / f"{source}.y4m", count=8, width=64, height=64)
    return folder


def _parsed(*arguments: str) -> object:
    config: object = parse_command(app, arguments).arguments["config"]
    return config


def test_a_recipe_is_trained_from_footage_in_one_command_and_continued_by_another(
    recipe: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = ["train", str(recipe), "--data", str(data), "--out", str(out)]

    assert run_command(app, [*command, "--steps", "2"]) == 0
    said = capsys.readouterr()
    assert f"edvr-model export {out / 'checkpoint.pt'} OUT_DIR" in said.out.replace("\n", "")
    assert len(list((out / "corpus").glob("*.npz"))) == 2
    assert load_trained(out / "checkpoint.pt")[1]["trained_steps"] == 2

    assert run_command(app, command) == 2
    assert "--resume goes on from it" in capsys.readouterr().err
    assert run_command(app, [*command, "--resume"]) == 0
    assert load_trained(out / "checkpoint.pt")[1]["trained_steps"] == 4


def test_a_complete_corpus_needs_no_footage(recipe: Path, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    command = ["train", str(recipe), "--corpus", str(corpus), "--out", str(tmp_path / "run")]
    assert run_command(app, [*command, "--steps", "1"]) == 0
    assert (tmp_path / "run" / "checkpoint.pt").is_file()


def test_training_leaves_its_results_where_the_recipe_is_named(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path / "corpus")
    assert run_command(app, ["train", str(recipe), "--corpus", "corpus", "--steps", "1"]) == 0
    assert (tmp_path / "runs" / "tiny-x2" / "checkpoint.pt").is_file()


@pytest.fixture(scope="module")
def paper_network() -> Edvr:
    """As small as the published network gets; exporting takes seconds for each of its layers."""
    config = EdvrConfig(
        num_feat=4,
        num_frame=1,
        deformable_groups=1,
        num_extract_block=0,
        num_reconstruct_block=0,
        with_tsa=False,
    )
    network = Edvr(config).eval()
    edvr_numpy.randomise(network, seed=1)
    return network


@pytest.mark.timeout(300)  # as many libraries as there are, each of which compiles the network
def test_a_published_checkpoint_is_imported_and_proved_on_every_inference_library(
    paper_network: Edvr, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"params": paper_network.state_dict()}, tmp_path / "paper.pth")
    folder = tmp_path / "paper-x4"
    command = ["import", str(tmp_path / "paper.pth"), str(folder), "--licence", "CC0"]

    assert run_command(app, command) == 0

    said = capsys.readouterr().out
    assert "paper-x4, version 1" in said
    for line in ("onnxruntime f32: within [01] levels", "openvino .*: within [0-4] levels"):
        assert re.search(line, said), said
    artefact = load_artefact(folder)
    manifest = artefact.manifest
    assert (manifest.name, manifest.tier, manifest.licence) == ("paper-x4", "edvr", "CC0")
    assert (manifest.scale, manifest.window, manifest.lookahead) == (4, 1, 0)
    assert (manifest.multiple_of, manifest.features, manifest.codecs) == (4, 4, ())
    frame = moving_frame(0, width=48, height=32)
    expected = run_network(EdvrPlanes(paper_network), (frame,))
    assert expected[0].shape == (128, 192)
    for config in (OnnxRuntimeConfig(threads=1), OpenVinoConfig(threads=1, half=False)):
        backend = open_backend(config, artefact, frame.size)
        found = backend.fuse([backend.extract(frame)])
        backend.close()
        for plane, wanted in zip(found, expected, strict=True):
            assert np.abs(plane.astype(int) - wanted).max() <= 1


def test_models_are_listed_and_described(
    live_artefact: Artefact, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_command(app, ["info", str(live_artefact.folder), "--lr-size", "60x30"]) == 0
    said = capsys.readouterr().out
    assert "tiny-x2, version 7, tier tiny" in said
    assert "at 60x32 to 120x64" in said

    listing = list_artefacts(live_artefact.folder.parent)
    monkeypatch.setattr("decoder.artefact.list_artefacts", lambda: listing)
    assert run_command(app, ["info"]) == 0
    assert capsys.readouterr().out.startswith("tiny-x2 ")


def test_a_profile_is_described_whether_its_model_is_installed_or_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "show.profile"
    model = find_artefact("live-xs-x2")
    path.write_bytes(profile_for(model, scale=0.001, seed=1))
    assert run_command(app, ["info", str(path)]) == 0
    said = capsys.readouterr().out
    assert f"for model   live-xs-x2, version {model.manifest.version}" in said
    assert "psnr_y_db +0.25" in said
    assert "of 36 tensors" in said
    path.write_bytes(profile_for(write_tiny_artefact(tmp_path / "tiny-x2")))
    assert run_command(app, ["info", str(path)]) == 0
    assert "not installed" in capsys.readouterr().out


def test_a_model_is_compiled_for_a_size(
    live_artefact: Artefact, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["build", str(live_artefact.folder), "--target", "onnxruntime"]
    assert run_command(app, [*command, "--lr-size", "64x32"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("tiny-x2 on onnxruntime f32: compiled for 64x32")
    assert "ms a frame" in said


def test_models_are_measured_in_a_table_and_in_json(
    live_artefact: Artefact, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = tmp_path / "scores.json"
    command = ["eval", str(live_artefact.folder), "--clips", str(data), "--no-vmaf"]
    command += ["--codecs", "h264"]
    command += ["--bitrates", "60k", "200k", "1M", "--seconds", "0.2", "--json", str(scores)]
    command += ["--cache", str(tmp_path / "cache"), "--sheets", str(tmp_path / "sheets")]

    assert run_command(app, command) == 0

    lines = capsys.readouterr().out.splitlines()
    rows = [(*line.split()[:3], line.split()[4]) for line in lines[1:19]]
    assert rows == [
        (source, "h264", rate, name)
        for source in (TRAINING_SOURCE, HELD_OUT_SOURCE)
        for rate in ("60k", "200k", "1M")
        for name in ("lanczos", "bicubic", "tiny-x2")
    ]
    assert [line.split()[:5] for line in lines[20:23]] == [
        ["mean", "of", "2", "h264", rate] for rate in ("60k", "200k", "1M")
    ]
    assert lines[23].startswith(f"worst of {live_artefact.folder} against Lanczos: PSNR-Y ")
    assert lines[24].startswith(f"BD-rate of {live_artefact.folder} against Lanczos, h264, PSNR-Y")
    sheets = [
        tmp_path / "sheets" / f"{s}.tiny-x2.h264.png" for s in (TRAINING_SOURCE, HELD_OUT_SOURCE)
    ]
    assert lines[25:] == [str(path) for path in sheets]
    assert all(path.is_file() for path in sheets)
    content = json.loads(scores.read_text())
    assert [score["frames"] for score in content["scores"]] == [5] * 6
    assert {score["backend"].split()[0] for score in content["scores"]} == {"openvino"}


def test_flags_become_settings() -> None:
    train = _parsed("train", "live-xs-x2", "--corpus", "c", "--resume", "--steps", "9")
    assert train == TrainConfig(recipe="live-xs-x2", corpus=Path("c"), resume=True, steps=9)
    measured = _parsed("eval", "a", "b", "--clips", "x", "y", "--bitrates", "150k", "1M")
    assert measured == EvalConfig(
        models=("a", "b"), clips=(Path("x"), Path("y")), bitrates_bps=(150_000, 1_000_000)
    )
    assert _parsed("eval", "a", "--clips", "x") == EvalConfig(models=("a",), clips=(Path("x"),))
    imported = _parsed("import", "ckpt.pth", "models/mine-x4", "--center-frame", "0")
    assert isinstance(imported, ImportConfig)
    assert (imported.model_name, imported.center_frame) == ("mine-x4", 0)
    assert _parsed("info", "mine-x4") == InfoConfig(model="mine-x4")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "CONFIG is missing"),
        (["train", "live-xs-x2"], "--data DIR is needed"),
        (["train", "live-xs-x2", "--data", "nonesuch"], "nonesuch is not a folder"),
        (["train", "nonesuch", "--data", "."], "no recipe 'nonesuch'; shipped: edvr-m-"),
        (["train", "live-xs-x2", "--data", ".", "--steps", "0"], "--steps must be at least 1"),
        (["train", "live-xs-x2", "--corpus", "nonesuch"], "no training shots in nonesuch"),
        (["export", "nonesuch.pt", "out"], "cannot read checkpoint nonesuch.pt"),
        (["import", "nonesuch.pth", "out"], "cannot read nonesuch.pth"),
        (["info", "nonesuch"], "unknown model 'nonesuch'"),
        (["info", "none.profile"], "cannot read profile none.profile"),
        (["build", "nonesuch"], "unknown model 'nonesuch'"),
        (["eval", "nonesuch", "--clips", "."], "unknown model 'nonesuch'"),
        (["eval", "nonesuch"], "--clips is missing"),
        (["eval", "a", "--clips", "b", "--bitrates", "fast"], "'fast' is not a bitrate"),
        (["distil"], 'unknown command "distil"'),
    ],
)
def test_a_wrong_command_is_answered_in_one_line_with_exit_status_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(app, arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def _without_training_libraries(program: str) -> subprocess.CompletedProcess[str]:
    hide = f"import sys; sys.modules.update(dict.fromkeys({TRAINING_LIBRARIES!r})); "
    return subprocess.run(
        [sys.executable, "-c", hide + program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "live-xs-x2", "--data", "."],
        ["adapt", "live-xs-x4", "--clips", ".", "--out", "a.profile"],
        ["export", "a", "b"],
        ["import", "a", "b"],
    ],
)
def test_without_torch_training_says_what_to_install(arguments: list[str]) -> None:
    done = _without_training_libraries(
        f"from decoder.training.cli import *; sys.exit(run_command(app, {arguments!r}))"
    )
    assert done.returncode == 2, done.stderr
    assert "pip install 'edvr-live[train]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_torch_models_are_described_compiled_and_measured(
    live_artefact: Artefact, data: Path, tmp_path: Path
) -> None:
    model = str(live_artefact.folder)
    clip = str(data / f"{TRAINING_SOURCE}.y4m")
    quick = ["--seconds", "0.04", "--bitrates", "60k", "--codecs", "h264", "--no-vmaf"]
    quick += ["--cache", str(tmp_path)]
    commands = [
        ["info", model],
        ["build", model, "--lr-size", "64x32"],
        ["eval", model, "--clips", clip, *quick],
    ]
    done = _without_training_libraries(
        "from decoder.training.cli import *; "
        f"sys.exit(max(run_command(app, command) for command in {commands!r}))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("tiny-x2") >= 4


def test_every_command_that_the_guide_shows_parses(data: Path) -> None:
    guide = (ROOT / "decoder" / "training" / "README.md").read_text()
    lines = [line for line in guide.splitlines() if line.startswith("edvr-model ")]
    assert len(lines) >= 5
    for line in lines:
        parse_command(app, shlex.split(line.replace("--data footage", f"--data {data}"))[1:])


def test_the_guide_explains_every_field_of_a_recipe() -> None:
    guide = (ROOT / "decoder" / "training" / "README.md").read_text()
    explained = set(re.findall(r"`([a-z_0-9]+)`", guide))
    for section in (LiveConfig, EdvrConfig, CorpusConfig, Schedule):
        assert {field.name for field in fields(section)} <= explained
