import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.shared_errors import SETTLED, SharedError, error_correlation, main, matched
from tests.training_media import write_footage


def _pictures(count: int, *, step: int) -> list[np.ndarray]:
    """Noise that moves `step` samples to the right a frame."""
    wide = np.random.default_rng(1).uniform(20, 230, (40, 48 + step * count)).astype(np.float32)
    return [wide[:, step * (count - at) :][:, :48] for at in range(count)]


def test_blocks_are_found_where_they_have_moved_to() -> None:
    now, then = _pictures(2, step=3)
    rows, columns, is_alike = matched(now, then)
    inner = slice(8, -8)
    assert is_alike[inner, inner].all()
    assert np.array_equal(then[rows, columns][inner, inner], now[inner, inner])
    assert (columns - np.arange(48))[inner, inner].max() == 3


def test_flat_blocks_stay_where_they_are() -> None:
    """Noise alone must not send them away: their errors would be compared with others' errors."""
    rng = np.random.default_rng(3)
    now, then = (rng.normal(100, 0.05, (40, 48)).astype(np.float32) for _ in range(2))
    rows, columns, is_alike = matched(now, then)
    assert is_alike.all()
    stays = (rows == np.arange(40)[:, None]) & (columns == np.arange(48)[None])
    assert stays.mean() > 0.9


def test_what_is_nowhere_is_left_out() -> None:
    now, then = _pictures(1, step=0)[0], np.full((40, 48), 128, np.float32)
    assert not matched(now, then)[2].any()


def test_errors_that_move_along_are_shared_and_independent_ones_are_not() -> None:
    count = SETTLED + 6
    originals = _pictures(count, step=2)
    along = [(picture - 128) / 40 for picture in originals]
    rng = np.random.default_rng(2)
    fresh = [rng.normal(0, 2, picture.shape).astype(np.float32) for picture in originals]

    def correlation(errors: list[np.ndarray]) -> float:
        decoded = [picture + error for picture, error in zip(originals, errors, strict=True)]
        return error_correlation(originals, decoded)

    assert correlation(along) > 0.95
    assert abs(correlation(fresh)) < 0.1
    assert correlation([np.zeros_like(error) for error in fresh]) == 0


def test_the_bound_is_that_of_a_mean_of_three() -> None:
    def bound_db(correlation: float) -> float:
        values = {"clip": "a", "codec": "av1", "bitrate_bps": 1}
        return SharedError(**values, correlation=correlation).bound_db  # type: ignore[arg-type]

    assert bound_db(1.0) == pytest.approx(0)
    assert bound_db(0.0) == pytest.approx(4.77, abs=0.01)


def test_a_clip_is_coded_and_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = write_footage(tmp_path / "waves.y4m", count=SETTLED + 8)
    figures = tmp_path / "figures.json"
    size = ["--size", "64x48", "--bitrates", "60k"]
    assert main([str(clip), *size, "--json", str(figures)]) == 0
    said = capsys.readouterr().out
    assert said.count("correlation") == 2
    rows = json.loads(figures.read_text())["figures"]["rows"]
    assert [row["codec"] for row in rows] == ["h264", "av1"]
    assert all(0 < row["correlation"] <= 1 for row in rows)
