import math
from collections.abc import Sequence

import numpy as np
import pytest

from decoder.artefact_reference import Planes, Reference
from decoder.backends import Backend, BackendConfig, Features, OnnxRuntimeConfig
from decoder.backends.self_check import check_reference, deviation
from stream.errors import InferenceFailed, ModelMismatch
from stream.frame import Frame
from tests.tiny_artefact import expected_planes, textured_frame

WINDOW = tuple(textured_frame(seed, width=64, height=48) for seed in range(3))
REFERENCE = Reference(frames=WINDOW, expected=expected_planes(WINDOW))


class _ComputedByHand:
    """A backend whose graphs are numpy, and off by what the test says."""

    name = "by hand"
    runs_on_cpu = True
    config: BackendConfig = OnnxRuntimeConfig()

    def __init__(self, *, off: int = 0, every: int = 1, half: bool = False) -> None:
        self.is_half_precision = half
        self._off, self._every = off, every

    def extract(self, frame: Frame) -> Features:
        return [frame]

    def fuse(self, window: Sequence[Features]) -> Planes:
        frames = [features[0] for features in window if isinstance(features[0], Frame)]
        y, u, v = expected_planes(frames)
        y = y.copy()
        y.ravel()[:: self._every] += np.uint8(self._off)
        return y, u, v

    def sibling(self) -> Backend:
        return self

    def close(self) -> None:
        pass


class _Failing(_ComputedByHand):
    def fuse(self, window: Sequence[Features]) -> Planes:
        raise InferenceFailed("out of memory")


def test_equal_pictures_are_infinitely_close() -> None:
    off = check_reference(_ComputedByHand(), REFERENCE, tolerance_levels=0)
    assert (off.max_levels, off.psnr_db) == (0, math.inf)


def test_the_deviation_is_the_largest_difference_and_the_psnr_over_all_planes() -> None:
    y, u, v = (np.full(shape, 100, np.uint8) for shape in ((4, 4), (2, 2), (2, 2)))
    off = deviation((y, u, v), (y + np.uint8(3), u, v - np.uint8(1)))
    assert off.max_levels == 3
    assert off.psnr_db == pytest.approx(10 * math.log10(255**2 / ((16 * 9 + 4 * 1) / 24)))


def test_float32_may_be_off_by_the_tolerance_and_no_more() -> None:
    check_reference(_ComputedByHand(off=1), REFERENCE, tolerance_levels=1)
    with pytest.raises(ModelMismatch, match="up to 2 levels"):
        check_reference(_ComputedByHand(off=2, every=1000), REFERENCE, tolerance_levels=1)


def test_half_precision_may_be_off_by_more_but_not_everywhere() -> None:
    check_reference(_ComputedByHand(off=2, every=50, half=True), REFERENCE, tolerance_levels=1)
    with pytest.raises(ModelMismatch):
        check_reference(_ComputedByHand(off=2, half=True), REFERENCE, tolerance_levels=1)
    with pytest.raises(ModelMismatch):
        check_reference(
            _ComputedByHand(off=3, every=5000, half=True), REFERENCE, tolerance_levels=1
        )


def test_an_engine_that_fails_on_the_reference_is_refused() -> None:
    with pytest.raises(ModelMismatch, match="out of memory"):
        check_reference(_Failing(), REFERENCE, tolerance_levels=1)
