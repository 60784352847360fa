from __future__ import annotations

import math

import pytest
import torch

from decoder.training.losses import (
    CHARBONNIER_EPSILON,
    ERROR_FLOOR,
    charbonnier,
    log_error,
    planes_loss,
)

ZEROS, ONES = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)


def test_charbonnier_is_linear_far_away_and_flat_at_zero() -> None:
    far = math.sqrt(1 + CHARBONNIER_EPSILON**2)
    assert float(charbonnier(ZEROS, ZEROS)) == pytest.approx(CHARBONNIER_EPSILON)
    assert float(charbonnier(ZEROS, ONES)) == pytest.approx(far)
    loss = planes_loss((ONES, ZEROS, ONES), (ZEROS,) * 3, chroma=0.25, name="charbonnier")
    assert float(loss) == pytest.approx(far + 0.25 * (CHARBONNIER_EPSILON + far))


def test_the_same_gain_in_db_counts_the_same_in_good_and_bad_patches() -> None:
    target = torch.zeros(1, 1, 8, 8)
    good, bad = torch.full_like(target, 0.05), torch.full_like(target, 0.5)
    tenth_db = 10 ** (-0.1 / 20)
    gains = [float(log_error(x, target) - log_error(x * tenth_db, target)) for x in (good, bad)]
    assert gains[0] == pytest.approx(gains[1], rel=0.03)


def test_a_patch_without_error_has_a_finite_loss() -> None:
    assert float(log_error(ZEROS, ZEROS)) == pytest.approx(math.log(ERROR_FLOOR))
