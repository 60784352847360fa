from pathlib import Path

import pytest

from decoder.artefact import Artefact, Manifest
from decoder.model_choice import choose_artefacts
from stream.frame import Size

HD = Size(width=1280, height=720)


def _model(tier: str, scale: int) -> Artefact:
    manifest = Manifest(
        name=f"{tier}-x{scale}",
        version="1",
        tier=tier,
        scale=scale,
        window=3,
        lookahead=1,
        multiple_of=8,
        inputs=("y",),
        features=1,
        colour="",
        codecs=(),
        trained_on="",
        licence="",
        sha256={},
    )
    return Artefact(folder=Path(manifest.name), manifest=manifest)


def test_a_model_that_does_not_enlarge_is_never_taken_unasked() -> None:
    for tier in ("live-xs", "live-xs-deblur"):
        for lr_size in (HD, Size(width=640, height=360)):
            assert choose_artefacts([_model(tier, 1)], lr_size=lr_size, hr_size=HD) == []


MODELS = [_model("live-m", 2), _model("live-xs", 4), _model("live-xs", 2)]


@pytest.mark.parametrize(
    ("lr_size", "name"),
    [
        ((640, 360), "live-xs-x2"),
        ((608, 342), "live-xs-x2"),  # 2.1 times: the rest is resized
        ((320, 180), "live-xs-x4"),
        ((480, 270), "live-xs-x4"),
        ((854, 480), "live-xs-x2"),
        ((64, 36), "live-xs-x4"),
        ((1280, 720), None),
        ((1920, 1080), None),
        ((1100, 620), None),
    ],
)
def test_the_smallest_scale_that_reaches_the_size_is_taken(
    lr_size: tuple[int, int], name: str | None
) -> None:
    size = Size(width=lr_size[0], height=lr_size[1])
    chosen = choose_artefacts(MODELS, lr_size=size, hr_size=HD)
    assert [model.manifest.name for model in chosen] == ([name] if name else [])


@pytest.mark.parametrize(
    ("best_tier", "lr_width", "names"),
    [
        ("live-m", 640, ["live-m-x2", "live-s-x2", "live-xs-x2", "live-xxs-x2"]),
        ("live-s", 640, ["live-s-x2", "live-xs-x2", "live-xxs-x2"]),
        ("live-m", 320, ["live-s-x4", "live-xs-x4"]),  # there is no live-m that reaches it
        ("live-xs", 640, ["live-xs-x2", "live-xxs-x2"]),
        ("live-xxs", 640, ["live-xxs-x2"]),
    ],
)
def test_cheaper_tiers_follow_the_best_one(best_tier: str, lr_width: int, names: list[str]) -> None:
    models = [*MODELS, _model("live-s", 2), _model("live-s", 4), _model("live-xxs", 2)]
    lr_size = Size(width=lr_width, height=lr_width * 9 // 16)
    chosen = choose_artefacts(models, lr_size=lr_size, hr_size=HD, best_tier=best_tier)
    assert [model.manifest.name for model in chosen] == names


def test_without_models_of_the_default_tier_it_is_lanczos() -> None:
    lr_size = Size(width=640, height=360)
    assert choose_artefacts([], lr_size=lr_size, hr_size=HD) == []
    assert choose_artefacts([_model("live-m", 2)], lr_size=lr_size, hr_size=HD) == []
