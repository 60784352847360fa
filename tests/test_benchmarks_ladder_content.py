import json
import math
from fractions import Fraction
from pathlib import Path

import pytest

from benchmarks.bandwidth.clips import prepare_clips
from benchmarks.bandwidth.config import BandwidthConfig
from benchmarks.bandwidth.store import Store
from benchmarks.ladder_content import Losses, Row, losses_of, main, measure
from benchmarks.ladder_model import learn_model, squared_error
from stream.errors import ConfigError
from stream.frame import Size
from tests.marked_pictures import write_marked

HALF, FULL = Fraction(1, 2), Fraction(1)


def rows(growth: float, *, clips: tuple[str, ...] = ("a", "b", "c")) -> list[Row]:
    """Of the half size and the full one; errors fall as 1 / rate."""
    found: list[Row] = []
    for number, clip in enumerate(clips):
        found.append({"clip": clip, "lines": 360, "codec": None, "mse": 10.0 + number})
        for bps in (50_000, 100_000, 200_000):
            small = (1 + number) * 1e6 / bps
            common = {"clip": clip, "codec": "av1", "wire_bps": bps}
            found.append({**common, "lines": 360, "mse": small})
            found.append({**common, "lines": 720, "mse": small * growth})
    return found


def test_coding_errors_are_known_between_the_rates_and_a_little_beyond() -> None:
    losses = Losses.of(rows(2.0))
    assert losses.clips == ["a", "b", "c"]
    assert losses.shares == [HALF, FULL]
    assert losses.shrunk["b"] == {HALF: 11.0, FULL: 0.0}
    for bps in (40_000, 70_000, 250_000):
        assert losses.coded_mse("av1", "a", FULL, bps) == pytest.approx(2e6 / bps, rel=1e-3)


def test_growth_and_what_restoration_leaves_are_learned() -> None:
    losses = Losses.of(rows(2.5))
    restored = {
        (clip, HALF): (200_000.0, losses.coded_mse("av1", clip, HALF, 200_000) + 0.8 * shrunk[HALF])
        for clip, shrunk in losses.shrunk.items()
    }
    model = learn_model(losses, restored, codec="av1", clips=["a", "c"])
    assert model.growth == (1.0, 2.5)
    assert model.kept == (0.8, 1.0)


def test_restoration_cannot_leave_more_than_there_was() -> None:
    losses = Losses.of(rows(2.5))
    restored = {("a", HALF): (200_000.0, 500.0), ("b", HALF): (200_000.0, 500.0)}
    assert learn_model(losses, restored, codec="av1", clips=["a", "b"]).kept == (1.0, 1.0)


def test_a_squared_error_is_what_its_psnr_says() -> None:
    assert 10 * math.log10(255**2 / squared_error(31.5)) == pytest.approx(31.5)


def test_a_clip_is_measured_in_every_size_and_codec(tmp_path: Path) -> None:
    write_marked(tmp_path / "clip.mp4", sizes=[Size(width=384, height=256)] * 12)
    (clip,) = prepare_clips(
        (tmp_path / "clip.mp4",), tmp_path / "clips", short_side=256, seconds=0.4
    )
    config = BandwidthConfig(bitrates=(80_000,), direct_bitrates=(160_000,))
    found = list(measure(clip, Store(tmp_path / "store"), config))
    losses = Losses.of(found)
    assert len(found) == 3 + 4 * 2
    by_share = losses.shrunk[clip.name]
    assert sorted(by_share.values(), reverse=True) == [
        by_share[share] for share in sorted(by_share)
    ]
    for codec in ("h264", "av1"):
        for share in losses.shares:
            ((_, error),) = losses.coded[codec, clip.name, share]
            assert -5 < error < 10
    assert list(measure(clip, Store(tmp_path / "store"), config)) == found  # from the store


def test_files_and_clips_that_are_not_there_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"figures": {}}))
    with pytest.raises(ConfigError, match="ladder_content"):
        losses_of(other)
    assert main(["missing.mp4", "--out", str(tmp_path)]) == 2
    assert "missing.mp4" in capsys.readouterr().err
