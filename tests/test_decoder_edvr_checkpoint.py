import pickle
import re
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from decoder.edvr.checkpoint import import_checkpoint
from decoder.edvr.network import EDVR_L, EDVR_M, Edvr, EdvrConfig
from stream.errors import ConfigError
from tests.edvr_published_names import authors_name, basicsr_shapes, published_layers

_TINY_LAYERS = published_layers(
    features=4, frames=3, groups=2, extraction_blocks=2, reconstruction_blocks=3
)
_TINY = EdvrConfig(
    num_feat=4, num_frame=3, deformable_groups=2, num_extract_block=2, num_reconstruct_block=3
)

Weights = dict[str, Tensor]


def _random_weights(shapes: dict[str, tuple[int, ...]]) -> Weights:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def _tiny_weights() -> Weights:
    return _random_weights(basicsr_shapes(_TINY_LAYERS))


def _saved(content: object, folder: Path) -> Path:
    path = folder / "checkpoint.pth"
    torch.save(content, path)
    return path


@pytest.mark.parametrize(("with_predeblur", "hr_in"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("with_tsa", [False, True])
@pytest.mark.parametrize("size", ["M", "L"])
def test_every_name_and_shape_is_the_published_one(
    size: str, with_tsa: bool, with_predeblur: bool, hr_in: bool
) -> None:
    layers = published_layers(
        features=64 if size == "M" else 128,
        reconstruction_blocks=10 if size == "M" else 40,
        with_tsa=with_tsa,
        with_predeblur=with_predeblur,
        hr_in=hr_in,
    )
    config = replace(
        EDVR_M if size == "M" else EDVR_L,
        with_tsa=with_tsa,
        with_predeblur=with_predeblur,
        hr_in=hr_in,
    )

    with torch.device("meta"):
        network = Edvr(config)

    ours = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert ours == basicsr_shapes(layers)


@pytest.mark.parametrize(("features", "blocks", "millions"), [(64, 10, "3.30"), (128, 40, "20.63")])
def test_the_published_list_itself_has_the_published_number_of_parameters(
    features: int, blocks: int, millions: str
) -> None:
    shapes = basicsr_shapes(published_layers(features=features, reconstruction_blocks=blocks))

    count = sum(torch.Size(shape).numel() for shape in shapes.values())

    assert f"{count / 1e6:.2f}" == millions


@pytest.mark.parametrize("wrapper", ["params", "params_ema", "state_dict", None])
def test_a_basicsr_checkpoint_loads_whatever_wraps_it(wrapper: str | None, tmp_path: Path) -> None:
    weights = _tiny_weights()
    content = {wrapper: OrderedDict(weights), "iter": 600_000} if wrapper else weights

    config, imported = import_checkpoint(_saved(content, tmp_path))

    assert config == _TINY
    assert imported.keys() == weights.keys()
    assert all(torch.equal(imported[name], weights[name]) for name in weights)
    Edvr(config).load_state_dict(imported, strict=True)


def test_averaged_weights_are_preferred_to_the_last_ones(tmp_path: Path) -> None:
    averaged = _tiny_weights()
    last = {name: torch.zeros_like(tensor) for name, tensor in averaged.items()}

    _, imported = import_checkpoint(_saved({"params": last, "params_ema": averaged}, tmp_path))

    assert torch.equal(imported["conv_hr.weight"], averaged["conv_hr.weight"])


@pytest.mark.parametrize("with_tsa", [False, True])
def test_an_mmagic_checkpoint_gives_the_same_network_as_the_basicsr_one(
    with_tsa: bool, tmp_path: Path
) -> None:
    layers = published_layers(
        features=4,
        frames=3,
        groups=2,
        extraction_blocks=2,
        reconstruction_blocks=3,
        with_tsa=with_tsa,
    )
    weights = _random_weights(basicsr_shapes(layers))
    state = {
        f"generator.{mmagic}.{kind}": weights[f"{basicsr}.{kind}"]
        for basicsr, mmagic, shapes in layers
        for kind in shapes
    }
    state["step_counter"] = torch.zeros(1)
    content = {"meta": {"iter": 600_000, "mmedit_version": "0.12.0"}, "state_dict": state}

    config, imported = import_checkpoint(_saved(content, tmp_path))

    assert config == replace(_TINY, with_tsa=with_tsa)
    assert imported.keys() == weights.keys()
    assert all(torch.equal(imported[name], weights[name]) for name in weights)


@pytest.mark.parametrize("with_tsa", [False, True])
@pytest.mark.parametrize(("with_predeblur", "hr_in"), [(False, False), (True, False), (True, True)])
def test_a_checkpoint_of_the_authors_own_repository_gives_the_same_network(
    with_predeblur: bool, hr_in: bool, with_tsa: bool, tmp_path: Path
) -> None:
    layers = published_layers(
        features=4,
        frames=3,
        groups=2,
        extraction_blocks=2,
        reconstruction_blocks=3,
        with_tsa=with_tsa,
        with_predeblur=with_predeblur,
        hr_in=hr_in,
    )
    weights = _random_weights(basicsr_shapes(layers))
    state = {
        f"{authors_name(basicsr)}.{kind}": weights[f"{basicsr}.{kind}"]
        for basicsr, _, shapes in layers
        for kind in shapes
    }
    assert len(state) == len(weights)
    assert "HRconv.weight" in state

    config, imported = import_checkpoint(_saved(state, tmp_path))

    assert config == replace(_TINY, with_tsa=with_tsa, with_predeblur=with_predeblur, hr_in=hr_in)
    assert imported.keys() == weights.keys()
    assert all(torch.equal(imported[name], weights[name]) for name in weights)


def test_the_prefix_of_distributed_training_is_taken_off(tmp_path: Path) -> None:
    content = {"params": {f"module.{name}": t for name, t in _tiny_weights().items()}}

    config, imported = import_checkpoint(_saved(content, tmp_path))

    assert config == _TINY
    assert imported.keys() == _tiny_weights().keys()


@pytest.mark.parametrize(
    "config",
    [
        replace(_TINY, num_frame=7, deformable_groups=1),
        replace(_TINY, num_in_ch=1),
        replace(_TINY, with_predeblur=True, with_tsa=False),
        replace(_TINY, with_predeblur=True, hr_in=True),
        replace(_TINY, num_feat=6, num_reconstruct_block=12),
    ],
)
def test_size_and_options_are_read_from_the_tensors(config: EdvrConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)

    imported, weights = import_checkpoint(_saved(Edvr(config).state_dict(), tmp_path))

    assert imported == config
    Edvr(imported).load_state_dict(weights, strict=True)


def test_the_place_of_the_reference_can_be_told(tmp_path: Path) -> None:
    path = _saved(_tiny_weights(), tmp_path)

    assert import_checkpoint(path, center_frame=2)[0].lookahead == 0
    with pytest.raises(ConfigError, match="center_frame 3 is outside"):
        import_checkpoint(path, center_frame=3)


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    halves = {name: tensor.half() for name, tensor in _tiny_weights().items()}

    _, imported = import_checkpoint(_saved(halves, tmp_path))

    assert {tensor.dtype for tensor in imported.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv_hr.weight": None}, "it lacks conv_hr.weight"),
        ({"conv_first.weight": None}, "it lacks conv_first.weight"),
        ({"fusion.feat_fusion.weight": None}, "it lacks fusion.feat_fusion.weight"),
        ({"pcd_align.cas_dcnpack.conv_offset.weight": None}, "it lacks pcd_align.cas_dcnpack"),
        ({"surprise.weight": (4, 4)}, "surprise.weight is unknown"),
        ({"upconv2.weight": (128, 4, 3, 3)}, "upconv2.weight has shape (128, 4, 3, 3), not (256,"),
        ({"conv_first.weight": (4,)}, "conv_first.weight has shape (4,), not of a convolution"),
        (
            {"fusion.feat_fusion.weight": (4, 13, 1, 1)},
            "fusion.feat_fusion.weight has 13 channels, not a multiple of 4",
        ),
        (
            {"pcd_align.cas_dcnpack.conv_offset.weight": (50, 4, 3, 3)},
            "conv_offset.weight has 50 channels, not a multiple of 27",
        ),
        (
            {"pcd_align.cas_dcnpack.conv_offset.weight": (81, 4, 3, 3)},
            "num_feat 4 cannot be split into 3",
        ),
        ({"reconstruction.2.conv1.weight": None}, "it lacks reconstruction.2.conv1.weight"),
        ({"conv_first.weight": (0, 3, 3, 3)}, "not a multiple of 0"),
        ({"conv_hr.weight": (64, 64, 3)}, "conv_hr.weight has shape (64, 64, 3), not (64, 64, 3,"),
    ],
)
def test_what_does_not_fit_is_named(
    changes: dict[str, tuple[int, ...] | None], message: str, tmp_path: Path
) -> None:
    weights = _tiny_weights()
    for name, shape in changes.items():
        if shape is None:
            del weights[name]
        else:
            weights[name] = torch.zeros(shape)
    path = _saved({"params": weights}, tmp_path)

    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        import_checkpoint(path)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tensor_that_claims_an_absurd_size_is_refused(tmp_path: Path) -> None:
    # Expanded tensors are stored by one value, so a small file can claim any shape.
    claimed = torch.zeros(1, 1, 1, 1).expand(2**34, 3, 3, 3)
    fusion = torch.zeros(1, 1, 1, 1).expand(1, 3 * 2**34, 1, 1)
    weights = _tiny_weights() | {"conv_first.weight": claimed, "fusion.feat_fusion.weight": fusion}

    with pytest.raises(ConfigError, match="no network of this size can be built"):
        import_checkpoint(_saved(weights, tmp_path))


def test_only_the_first_of_many_misfits_are_named(tmp_path: Path) -> None:
    weights = _tiny_weights() | {f"extra.{n}": torch.zeros(1) for n in range(30)}

    with pytest.raises(ConfigError, match=r"extra\.2 is unknown; and 27 more"):
        import_checkpoint(_saved(weights, tmp_path))


@pytest.mark.parametrize(
    "bad", [torch.full((64,), float("nan")), torch.zeros(64, dtype=torch.int64)]
)
def test_values_that_are_not_finite_numbers_are_refused(bad: Tensor, tmp_path: Path) -> None:
    weights = _tiny_weights() | {"conv_hr.bias": bad}

    with pytest.raises(ConfigError, match=r"conv_hr\.bias holds values that are not finite"):
        import_checkpoint(_saved(weights, tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list, not named weights"),
        (torch.zeros(3), "holds a Tensor, not named weights"),
        ({}, "holds no weights"),
        ({"params": {"note": "nothing here"}}, "holds no weights"),
        ({"lr": 0.1}, "holds no weights"),
        ({"params": {}, "path": Path("x")}, "it holds a pathlib.*besides tensors"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(
    content: object, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        import_checkpoint(_saved(content, tmp_path))


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "was_run"

    class Exploit:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (trace,)

    path = tmp_path / "checkpoint.pth"
    for save in (
        lambda: torch.save({"params": Exploit()}, path),
        lambda: path.write_bytes(pickle.dumps({"params": Exploit()}, protocol=2)),
    ):
        save()
        with pytest.raises(ConfigError):
            import_checkpoint(path)

    assert not trace.exists()


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.pth", tmp_path):
        with pytest.raises(ConfigError, match=re.escape(str(path))):
            import_checkpoint(path)


@settings(max_examples=40)
@given(data=st.data())
def test_damaged_files_are_refused_in_one_line(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = _saved({"params": {"a": torch.zeros(2)}}, tmp_path_factory.mktemp("damaged"))
    whole = path.read_bytes()
    if data.draw(st.booleans(), label="truncated"):
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    else:
        path.write_bytes(data.draw(st.binary(max_size=200)))

    with pytest.raises(ConfigError) as caught:
        import_checkpoint(path)

    assert "\n" not in str(caught.value)
