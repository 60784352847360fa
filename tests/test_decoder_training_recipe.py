from dataclasses import replace
from pathlib import Path

import pytest

from decoder.edvr.live_config import LiveConfig
from decoder.edvr.network import EDVR_M
from decoder.training.recipe import RECIPES_FOLDER, Recipe, find_recipe, read_recipe
from stream.errors import ConfigError
from tests.training_media import tiny_recipe

SHIPPED = sorted(RECIPES_FOLDER.glob("*.toml"))

RECIPE = """
name = "mine-x3"
tier = "mine"
[network]
scale = 3
window = 5
lookahead = 2
[corpus]
bitrates_bps = [100_000]
patch = 96
[schedule]
steps = 10
crop = 48
learning_rate = 1
loss = "charbonnier"
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_recipe_is_whole_and_named_like_its_file(path: Path) -> None:
    recipe = read_recipe(path)

    assert recipe.name == path.stem.removesuffix("-tune").removesuffix("-detail")
    assert recipe.name.startswith(recipe.tier)
    assert find_recipe(path.stem) == find_recipe(path.name) == path


def test_the_corpus_is_cut_for_the_network_and_the_rest_has_defaults(tmp_path: Path) -> None:
    recipe = read_recipe(_write(tmp_path, RECIPE))

    corpus = recipe.corpus
    assert (corpus.scale, corpus.window, corpus.lookahead) == (3, 5, 2)
    assert corpus.bitrates_bps == (100_000,)
    assert isinstance(recipe.network, LiveConfig)
    assert (recipe.network.channels, recipe.schedule.batch) == (48, 16)
    assert recipe.schedule.loss == "charbonnier"
    assert find_recipe(str(tmp_path / "mine.toml")) == tmp_path / "mine.toml"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('name = "mine-x3"', "", "lacks name"),
        ('tier = "mine"', "tier = 3", "lacks tier"),
        ("[corpus]", "[corpse]", r"lacks \[corpus\]"),
        ("steps = 10", "steps = 10\nstep = 10", r"\[schedule\] has no step; known: steps"),
        ("steps = 10", 'steps = "10"', r"\[schedule\] steps = '10' has the wrong type"),
        ("steps = 10", "", r"\[schedule\].*steps"),
        ("steps = 10", "steps = 0", "steps must be at least 1"),
        ("learning_rate = 1", "learning_rate = nan", "learning_rate must be above 0"),
        ("learning_rate = 1", "blind_ratio = 1.5", "blind_ratio must be from 0 to 1"),
        ("learning_rate = 1", "detail_weight = -1", "detail_weight must not be negative"),
        ("learning_rate = 1", "detail_weight = 1", "detail_weight wants a crop of 64"),
        ('"charbonnier"', '"best"', "loss must be one of .*charbonnier.*'best'"),
        ('"charbonnier"', "1", r"\[schedule\] loss = 1 has the wrong type"),
        ("[100_000]", '["100k"]', r"\[corpus\] bitrates_bps"),
        ("scale = 3", "scale = 5", "scale must be 1, 2, 3 or 4"),
        ("scale = 3", "scale = true", r"\[network\] scale = True has the wrong type"),
        ("crop = 48", "crop = 40", "crop 40 must be a multiple of 12"),
        ("crop = 48", "crop = 120", "at most the corpus's patch, 96"),
        ("patch = 96", "patch = 64", "patch 64 must be a multiple of 48"),
        ("[network]", "[network", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    assert before in RECIPE
    path = _write(tmp_path, RECIPE.replace(before, after))
    with pytest.raises(ConfigError, match=rf"mine\.toml.*{message}"):
        read_recipe(path)


PAPER_RECIPE = """
name = "paper"
tier = "paper"
[network]
family = "edvr"
center_frame = 3
with_tsa = false
[corpus]
codecs = ["none"]
patch = 64
masks = ["clip.mp4 0,0,8,8"]
[schedule]
steps = 10
crop = 32
"""


def test_a_recipe_may_be_of_the_papers_own_network(tmp_path: Path) -> None:
    recipe = read_recipe(_write(tmp_path, PAPER_RECIPE))
    assert recipe.network == replace(EDVR_M, center_frame=3, with_tsa=False)
    corpus = recipe.corpus
    assert (corpus.scale, corpus.window, corpus.lookahead) == (4, 5, 1)
    assert (corpus.codecs, corpus.masks) == (("none",), ("clip.mp4 0,0,8,8",))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"edvr"', '"edsr"', r"\[network\] family must be of live, edvr, got 'edsr'"),
        ("center_frame = 3", "center_frame = true", "center_frame = True has the wrong type"),
        ("center_frame = 3", "center_frame = 5", "center_frame 5 is outside"),
        ("center_frame = 3", "channels = 3", r"\[network\] has no channels; known: num_in_ch"),
        ('["none"]', "[0]", r"\[corpus\] codecs = \[0\] has the wrong type"),
        ("crop = 32", "crop = 40", "crop 40 must be a multiple of 16"),
    ],
)
def test_what_is_wrong_with_it_is_named_too(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    assert before in PAPER_RECIPE
    path = _write(tmp_path, PAPER_RECIPE.replace(before, after))
    with pytest.raises(ConfigError, match=rf"mine\.toml.*{message}"):
        read_recipe(path)


def test_files_that_are_no_recipes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not TOML"):
        read_recipe(path)
    with pytest.raises(ConfigError, match="cannot read recipe"):
        read_recipe(tmp_path)


def test_an_unknown_recipe_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no recipe 'nonesuch'; shipped: .*live-xs-x2"):
        find_recipe("nonesuch")


def test_a_crop_fits_the_network_and_the_patch() -> None:
    recipe: Recipe = tiny_recipe()
    with pytest.raises(ConfigError, match="crop 42"):
        replace(recipe, schedule=replace(recipe.schedule, crop=42))
