"""The tasks of the paper, and cleaning without enlarging, each trained in small by its recipe."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decoder.artefact import Manifest, load_artefact
from decoder.config import RestorerConfig
from decoder.edvr.live_config import LiveConfig
from decoder.edvr.network import EDVR_M, EdvrConfig
from decoder.restorer import Restorer
from decoder.training.cli import app
from decoder.training.publish import load_trained, publish, run_network
from decoder.training.recipe import RECIPES_FOLDER, read_recipe
from stream.command_line import run_command
from stream.frame import Size
from tests.training_media import (
    HELD_OUT_SOURCE,
    TRAINING_SOURCE,
    moving_frame,
    tiny_network,
    write_checkpoint,
    write_footage,
)

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.timeout(300),  # seconds of computing, which other programs may stretch
]

TASKS = {
    "edvr-m-x4": (4, False, False),
    "edvr-m-x4-blur": (4, True, False),
    "edvr-m-deblur": (1, True, False),
    "edvr-m-deblur-coded": (1, True, True),
    "live-xs-deblur": (1, True, True),
}
"""Recipe: scale, whether its input is blurred, and whether it is coded."""

_SMALL = {
    **dict.fromkeys(("num_feat", "channels"), 8),
    **dict.fromkeys(("near_channels",), 4),
    **dict.fromkeys(("num_extract_block", "num_reconstruct_block"), 0),
    **dict.fromkeys(("extract_blocks", "reconstruct_blocks"), 0),
    "num_frame": 3,
    **dict.fromkeys(("patch", "crop"), 64),
    **dict.fromkeys(("per_clip", "batch", "validate_every"), 1),
    "steps": 2,
    "deformable_groups": 2,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fast clip, and a held-out photograph that a camera moves over."""
    folder = tmp_path_factory.mktemp("data")
    write_footage(folder / f"{TRAINING_SOURCE}.y4m", count=24, width=64, height=64, rate=60)
    pixels = np.random.default_rng(1).integers(0, 256, (11, 11, 3), np.uint8)
    photograph = Image.fromarray(pixels).resize((88, 88), Image.Resampling.BICUBIC)
    photograph.save(folder / f"{HELD_OUT_SOURCE}.png")
    return folder


def _in_small(name: str, folder: Path) -> Path:
    """The shipped recipe with everything that costs time made small."""
    text = (RECIPES_FOLDER / f"{name}.toml").read_text()
    for field, value in _SMALL.items():
        text = re.sub(rf"^{field} = .*$", f"{field} = {value}", text, flags=re.MULTILINE)
    text = re.sub(r"^moments = .*\n", "", text, flags=re.MULTILINE)
    text = text.replace("[corpus]", "[corpus]\nframes = 8\npatches = 1\nmoments = 1")
    if "deformable_groups" not in text:
        text = text.replace("[network]", "[network]\ndeformable_groups = 2")
    path = folder / "small.toml"
    path.write_text(text)
    return path


def _train(name: str, data: Path, folder: Path) -> Path:
    out = folder / "run"
    command = ["train", str(_in_small(name, folder)), "--data", str(data), "--out", str(out)]
    assert run_command(app, command) == 0
    return out


@pytest.mark.parametrize("name", TASKS)
def test_a_task_trains_end_to_end(name: str, data: Path, tmp_path: Path) -> None:
    scale, is_blurred, is_coded = TASKS[name]
    recipe = read_recipe(RECIPES_FOLDER / f"{name}.toml")
    assert recipe.network.scale == scale
    if isinstance(recipe.network, EdvrConfig):
        small = {field: getattr(EDVR_M, field) for field in ("num_feat", "num_reconstruct_block")}
        assert {field: getattr(recipe.network, field) for field in small} == small
        assert recipe.network.with_predeblur == is_blurred
        assert recipe.network.hr_in == (scale == 1)

    out = _train(name, data, tmp_path)

    network, trained = load_trained(out / "checkpoint.pt")
    assert trained["trained_steps"] == 2
    assert network.config.scale == scale
    (shard,) = (out / "corpus").glob(f"{TRAINING_SOURCE}*.npz")
    with np.load(shard) as arrays:
        assert np.isnan(arrays["quantiser"]).all() != is_coded
        assert len(arrays["quantiser"]) == (2 * 4 if is_coded else 1)  # codecs, bitrates
        lr, hr = arrays["lr_y"][0, 1], arrays["hr_y"][0, 0]
        assert lr.shape == (64 // scale, 64 // scale)
        if scale == 1:
            detail = [float(np.abs(np.diff(plane.astype(int))).mean()) for plane in (lr, hr)]
            assert detail[0] < 0.95 * detail[1]


SAME_SIZE = LiveConfig(
    scale=1,
    window=1,  # alignment is the same at every scale, and takes long to export
    lookahead=0,
    channels=8,
    near_channels=4,
    deformable_groups=2,
    extract_blocks=0,
    reconstruct_blocks=1,
)


def test_a_network_that_does_not_enlarge_is_published_and_restores_at_the_same_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = tiny_network(SAME_SIZE)
    checkpoint = write_checkpoint(tmp_path / "checkpoint.pt", network)

    assert run_command(app, ["export", str(checkpoint), str(tmp_path / "same")]) == 0

    said = capsys.readouterr().out
    for line in ("onnxruntime f32: within [01] levels", "openvino .*: within [0-4] levels"):
        assert re.search(line, said), said
    manifest = load_artefact(tmp_path / "same").manifest
    assert (manifest.scale, manifest.multiple_of) == (1, 8)
    size = Size(width=64, height=48)
    frames = [moving_frame(index, width=64, height=48) for index in range(3)]
    restorer = Restorer(
        RestorerConfig(size=size, model=str(tmp_path / "same"), backend="onnxruntime")
    )
    restored = [out for frame in frames for out in restorer.push(frame)] + restorer.flush()
    assert restorer.counts.restored == 3
    restorer.close()
    for frame, out in zip(frames, restored, strict=True):
        expected = run_network(network, (frame,))
        assert not np.array_equal(expected[0], frame.y)
        for found, plane in zip((out.y, out.u, out.v), expected, strict=True):
            assert np.abs(found.astype(int) - plane).max() <= 1


def test_a_trained_network_of_the_paper_is_published_as_what_it_is(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = _train("edvr-m-x4-blur", data, tmp_path)
    found: list[Manifest] = []

    def write(network: object, manifest: Manifest, folder: Path) -> None:
        found.append(manifest)  # exporting takes seconds for each layer, and has its own tests

    monkeypatch.setattr("decoder.training.publish.write_network", write)
    publish(out / "checkpoint.pt", tmp_path / "model", version="3")
    (manifest,) = found
    assert (manifest.name, manifest.tier, manifest.codecs) == ("edvr-m-x4-blur", "edvr-m", ())
    assert (manifest.scale, manifest.window, manifest.lookahead) == (4, 3, 1)
    assert (manifest.features, manifest.multiple_of) == (4, 4)
    assert manifest.trained_on.endswith("that were not coded")
