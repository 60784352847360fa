import pytest
import torch

from decoder.training.denormals import denormals_flushed


def _keeps_denormals() -> bool:
    return bool((torch.tensor([1e-30]) * 1e-10 > 0).item())


def test_denormals_are_zero_inside_alone_also_when_training_fails() -> None:
    assert _keeps_denormals()

    @denormals_flushed()
    def training() -> None:
        assert not _keeps_denormals()
        raise ValueError("collapsed")

    with pytest.raises(ValueError, match="collapsed"):
        training()
    assert _keeps_denormals()
