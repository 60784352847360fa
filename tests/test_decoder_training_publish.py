from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from decoder.artefact import Artefact, load_artefact
from decoder.config import RestorerConfig
from decoder.edvr.network import EDVR_L, EDVR_M
from decoder.restorer import Restorer
from decoder.training.publish import (
    load_trained,
    paper_tier,
    reference_frames,
    run_network,
    write_network,
)
from stream.errors import ConfigError
from stream.frame import Frame, Size
from tests.training_media import TINY, moving_frame, tiny_network, tiny_recipe, write_checkpoint

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def _stream(count: int) -> list[Frame]:
    frames = (moving_frame(index, width=48, height=32) for index in range(count))
    return [Frame(y=f.y, u=f.u, v=f.v, pts=3000 * f.pts, quantiser=30.0 + f.pts) for f in frames]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_published_network_restores_a_stream_as_torch_does(
    live_artefact: Artefact, backend: str
) -> None:
    frames = _stream(4)
    config = RestorerConfig(
        size=Size(width=96, height=64),
        model=str(live_artefact.folder),
        backend="onnxruntime" if backend == "onnxruntime" else "openvino",
    )
    restorer = Restorer(config)

    restored = [out for frame in frames for out in restorer.push(frame)] + restorer.flush()

    restorer.close()
    assert restorer.counts.restored == len(frames)
    network = tiny_network()
    for index, frame in enumerate(restored):
        window = tuple(frames[max(0, min(3, index + step))] for step in (-1, 0, 1))
        expected = run_network(network, window)
        assert frame.pts == frames[index].pts
        for found, plane in zip((frame.y, frame.u, frame.v), expected, strict=True):
            off = np.abs(found.astype(int) - plane)
            assert off.max() <= (1 if backend == "onnxruntime" else 4)
            assert off.mean() < 0.5


def test_the_manifest_says_what_the_network_takes_and_how_it_came_to_be(
    live_artefact: Artefact,
) -> None:
    manifest = load_artefact(live_artefact.folder).manifest

    assert (manifest.name, manifest.tier, manifest.version) == ("tiny-x2", "tiny", "7")
    assert (manifest.scale, manifest.window, manifest.lookahead) == (2, 3, 1)
    assert (manifest.multiple_of, manifest.features) == (TINY.multiple_of, 8)
    assert manifest.codecs == ("h264",)
    assert "123 steps of 2 patches" in manifest.trained_on
    assert "200 kb/s" in manifest.trained_on


def test_the_reference_tells_frames_and_quantisers_apart(live_artefact: Artefact) -> None:
    reference = live_artefact.reference()
    network, frames = tiny_network(), reference.frames

    swapped = run_network(network, frames[::-1])
    told = tuple(Frame(y=f.y, u=f.u, v=f.v, pts=f.pts, quantiser=None) for f in frames)

    off = np.abs(run_network(network, told)[0].astype(int) - reference.expected[0])
    assert off.max() > live_artefact.manifest.tolerance_levels
    assert np.mean(swapped[0] != reference.expected[0]) > 0.01


def test_reference_frames_have_texture_colour_and_motion() -> None:
    frames = reference_frames(3, 48)
    assert [frame.quantiser for frame in frames] == [24, 29, 34]
    for frame in frames:
        for plane in (frame.y, frame.u, frame.v):
            assert plane.std() > 20
    assert not np.array_equal(frames[0].y, frames[1].y)


def test_a_checkpoint_comes_back_with_its_recipe(tmp_path: Path) -> None:
    network = tiny_network()
    loaded, recipe = load_trained(write_checkpoint(tmp_path / "checkpoint.pt", network))

    assert not loaded.training
    assert loaded.config == TINY
    assert (recipe["name"], recipe["trained_steps"]) == ("tiny-x2", 123)
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(ConfigError, match="cannot read checkpoint"):
        load_trained(path)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(ConfigError, match="is not a training checkpoint"):
        load_trained(path)
    state = {"recipe": asdict(tiny_recipe()), "step": 1, "average": {"unknown": torch.zeros(1)}}
    torch.save(state, path)
    with pytest.raises(ConfigError, match="is not a training checkpoint"):
        load_trained(path)


def test_the_sizes_of_the_paper_are_told_by_their_width_and_depth() -> None:
    assert paper_tier(EDVR_M) == "edvr-m"
    assert paper_tier(EDVR_L) == "edvr-l"
    assert paper_tier(replace(EDVR_M, num_feat=32)) == "edvr"


def test_a_wrong_number_of_features_is_noticed_before_anything_is_written(
    live_artefact: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decoder.training.publish.export_graphs", lambda *_, **__: 8)
    with pytest.raises(ConfigError, match="gives 8 features, not 3"):
        write_network(
            tiny_network(), replace(live_artefact.manifest, features=3), tmp_path / "tiny"
        )
    assert not (tmp_path / "tiny").exists()
