"""Signatures of scenes: the same picture in another size or coding is known, another is not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.frame import Frame, Plane, Size
from stream.scene_signature import (
    MAX_NUMBER,
    MAX_SIGNATURES,
    SAME_SCENE,
    SIGNATURE_BYTES,
    Scene,
    Signature,
    signature_of,
    telling,
)


def scene(seed: int, size: Size = Size(width=320, height=180), *, noise: int = 0) -> Frame:
    """Blocks of seeded light and colour, as a place would have; `noise` is a seed, too."""
    rng = np.random.default_rng(seed)
    low, high = np.sort(rng.integers(30, 220, 2))
    grid = rng.integers(low, high + 20, (5, 8))
    tint = rng.integers(80, 170, (2, 1, 1)) + rng.integers(0, 12, (2, 3, 4))

    def drawn(blocks: NDArray[np.integer], height: int, width: int) -> Plane:
        rows = np.arange(height) * len(blocks) // height
        columns = np.arange(width) * blocks.shape[1] // width
        plane: Plane = blocks[np.ix_(rows, columns)].astype(np.uint8)
        return plane

    y = drawn(grid, size.height, size.width)
    if noise:
        y = y + np.random.default_rng(noise).integers(0, 12, y.shape, np.uint8)
    half = (size.height // 2, size.width // 2)
    return Frame(y=y, u=drawn(tint[0], *half), v=drawn(tint[1], *half), pts=0)


def test_a_scene_is_known_in_every_size_and_with_noise_and_others_are_not() -> None:
    small, large = Size(width=160, height=90), Size(width=1280, height=720)
    for seed in range(8):
        first = signature_of(scene(seed))
        again = [scene(seed, small, noise=5), scene(seed, large, noise=6), scene(seed, noise=7)]
        assert max(signature_of(each).distance([first]) for each in again) < 0.75 * SAME_SCENE
        others = [signature_of(scene(other)) for other in range(8) if other != seed]
        assert first.distance(others) > SAME_SCENE


def test_light_that_changes_makes_no_other_scene() -> None:
    frame = scene(3)
    brighter = Frame(y=np.minimum(frame.y, 220) + np.uint8(20), u=frame.u, v=frame.v, pts=0)
    assert signature_of(brighter).distance([signature_of(frame)]) < SAME_SCENE


def test_distances_are_zero_to_itself_and_the_same_both_ways() -> None:
    left, right = signature_of(scene(1)), signature_of(scene(2))
    assert left.distance([left]) == pytest.approx(0, abs=1e-6)
    assert left.distance([right]) == pytest.approx(right.distance([left]))
    assert left.distances([left, right]).argmin() == 0
    assert left.distance([]) == np.inf
    assert left == Signature(left.data) != right


@pytest.mark.parametrize(
    ("width", "height"), [(2, 2), (4, 4), (6, 14), (16, 8), (64, 36), (66, 38), (1922, 1082)]
)
def test_every_size_has_a_signature(width: int, height: int) -> None:
    found = signature_of(scene(1, Size(width=width, height=height)))
    assert len(found.data) == SIGNATURE_BYTES
    black = Frame(
        y=np.full((height, width), 16, np.uint8),
        u=np.full((height // 2, width // 2), 128, np.uint8),
        v=np.full((height // 2, width // 2), 128, np.uint8),
        pts=0,
    )
    assert signature_of(black).distance([signature_of(black)]) == pytest.approx(0, abs=1e-6)
    assert np.isfinite(signature_of(black).distance([found]))


def test_any_bytes_are_a_signature_of_something() -> None:
    rng = np.random.default_rng(5)
    known = [signature_of(scene(seed)) for seed in range(4)]
    for data in (bytes(SIGNATURE_BYTES), b"\xff" * SIGNATURE_BYTES, rng.bytes(SIGNATURE_BYTES)):
        assert np.isfinite(Signature(data).distances(known)).all()
        assert np.isfinite(known[0].distance([Signature(data)]))
    for length in (0, SIGNATURE_BYTES - 1, SIGNATURE_BYTES + 1):
        with pytest.raises(ValueError, match="has 126 bytes"):
            Signature(bytes(length))


def test_a_few_pictures_stand_for_many_of_a_scene() -> None:
    of_one = [signature_of(scene(1, noise=noise)) for noise in range(1, 10)]
    assert len(telling(of_one)) == 1
    of_three = [signature_of(scene(seed)) for seed in (1, 2, 3)]
    assert set(telling(of_three * 4)) == set(of_three)
    many = [signature_of(scene(seed)) for seed in range(MAX_SIGNATURES + 5)]
    assert len(telling(many)) == MAX_SIGNATURES
    assert telling([]) == ()


def test_a_scene_has_a_number_and_few_signatures() -> None:
    one = signature_of(scene(1))
    assert Scene(number=MAX_NUMBER, signatures=(one,) * MAX_SIGNATURES).number == MAX_NUMBER
    for wrong in (-1, MAX_NUMBER + 1):
        with pytest.raises(ValueError, match="out of range"):
            Scene(number=wrong)
    with pytest.raises(ValueError, match="9 signatures"):
        Scene(number=0, signatures=(one,) * (MAX_SIGNATURES + 1))
