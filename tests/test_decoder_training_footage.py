import itertools
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decoder.training.footage import Shot, find_shots, read_shot
from stream.errors import ConfigError
from stream.frame import Size
from tests.training_media import moving_frame, write_footage


def _write_photograph(path: Path, *, width: int = 200, height: int = 150) -> Path:
    rng = np.random.default_rng(5)
    small = rng.integers(0, 256, (height // 10, width // 10, 3), np.uint8)
    Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


def _shot(path: Path, *, start: int = 0, frames: int = 5, seed: int = 1) -> Shot:
    return Shot(path=path, start=start, frames=frames, seed=seed)


def test_long_clips_give_pieces_that_do_not_overlap_and_never_dominate(tmp_path: Path) -> None:
    write_footage(tmp_path / "long.y4m", count=45, width=32, height=32)
    write_footage(tmp_path / "short.y4m", count=4, width=32, height=32)
    _write_photograph(tmp_path / "still.png")

    shots = find_shots(tmp_path, frames=10, per_clip=3, seed=1)

    starts = {
        name: sorted(shot.start for shot in shots if shot.path.name == name)
        for name in ("long.y4m", "short.y4m", "still.png")
    }
    assert starts == {"long.y4m": [0, 15, 30], "short.y4m": [0], "still.png": [0]}
    assert len({shot.key for shot in shots}) == len(shots)


def test_a_fast_clip_is_thinned_and_its_pieces_do_not_overlap(tmp_path: Path) -> None:
    path = write_footage(tmp_path / "fast.y4m", count=40, width=32, height=32, rate=60)

    shots = find_shots(tmp_path, frames=10, per_clip=3, seed=1)

    assert sorted(shot.start for shot in shots) == [0, 20]
    frames, rate = read_shot(_shot(path, start=20, frames=10))
    assert (len(frames), rate) == (10, Fraction(30))
    for frame, index in zip(frames, range(20, 40, 2), strict=True):
        assert np.array_equal(frame.y, moving_frame(index, width=32, height=32).y)


def test_shots_are_found_in_an_order_that_the_seed_alone_decides(tmp_path: Path) -> None:
    for index in range(8):
        write_footage(tmp_path / f"clip{index}.y4m", count=2, width=32, height=32)

    one, again, other = (
        [shot.path.name for shot in find_shots(tmp_path, frames=2, per_clip=1, seed=seed)]
        for seed in (1, 1, 2)
    )

    assert one == again
    assert one != other
    assert Counter(one) == Counter(other)


@pytest.mark.parametrize(("scale", "size"), [(2, (192, 128)), (3, (192, 96)), (4, (192, 128))])
def test_the_scale_divides_what_is_read(tmp_path: Path, scale: int, size: tuple[int, int]) -> None:
    path = write_footage(tmp_path / "clip.y4m", count=2, width=200, height=150)

    (first, _), rate = read_shot(_shot(path), scale=scale)

    assert (first.size.width, first.size.height) == size
    assert rate == Fraction(25)


def test_a_still_is_filmed_the_same_way_every_time_and_moves(tmp_path: Path) -> None:
    path = _write_photograph(tmp_path / "still.png", width=400, height=300)

    one, rate = read_shot(_shot(path, frames=4))
    again, _ = read_shot(_shot(path, frames=4))
    other, _ = read_shot(_shot(path, frames=4, seed=2))

    assert (len(one), rate) == (4, Fraction(25))
    assert {frame.size for frame in one} == {Size(width=352, height=256)}
    assert all(np.array_equal(a.y, b.y) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one[0].y, other[0].y)
    for before, after in itertools.pairwise(one):
        assert not np.array_equal(before.y, after.y), "the camera moves"


def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no clips or stills"):
        find_shots(tmp_path, frames=2, per_clip=1, seed=1)
    (tmp_path / "bad.jpg").write_bytes(b"not a picture")
    with pytest.raises(ConfigError, match=r"bad\.jpg is not a picture"):
        read_shot(_shot(tmp_path / "bad.jpg"))
    with pytest.raises(ConfigError, match="too small"):
        read_shot(_shot(_write_photograph(tmp_path / "tiny.png", width=30, height=30)))
    (tmp_path / "bad.mp4").write_bytes(b"not a video")
    with pytest.raises(ConfigError, match=r"bad\.mp4 is not a video"):
        find_shots(tmp_path, frames=2, per_clip=1, seed=1)
