import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchmarks import adaptation
from benchmarks.adaptation_cases import Case, Part, read_cases, write_parts
from decoder.training.raw_clip import RawClip
from stream.errors import ConfigError
from tests.training_media import moving_frame, write_footage

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def _luma(clip: RawClip) -> list[float]:
    return [float(clip.luma(index).mean()) for index in range(len(clip))]


def test_the_cases_adapt_on_nothing_that_they_test() -> None:
    cases = read_cases()
    assert len({case.name for case in cases}) == len(cases) >= 4
    for case in cases:
        for tested in case.test:
            for learned in case.adapt:
                is_apart = learned.to_s <= tested.from_s or tested.to_s <= learned.from_s
                assert learned.clip != tested.clip or is_apart, case.name


def test_parts_are_the_seconds_they_name(tmp_path: Path) -> None:
    write_footage(tmp_path / "a.y4m", count=50, width=64, height=64)
    part = Part(clip="a.y4m", from_s=0.4, to_s=1.2)

    (clip,) = write_parts((part,), tmp_path, tmp_path / "out", alternate_s=0, scale=2)

    assert len(clip) == 20
    assert (clip.luma(0) == moving_frame(10, width=64, height=64).y).all()
    late = Part(clip="a.y4m", from_s=9, to_s=10)
    with pytest.raises(ConfigError, match=r"a\.y4m has nothing from 9 s on"):
        write_parts((late,), tmp_path, tmp_path / "out", alternate_s=0, scale=2)


def test_cameras_take_turns_and_run_on_meanwhile(tmp_path: Path) -> None:
    for name, level in (("dark", 40), ("light", 200)):
        flat = np.ones((64, 64), np.uint8)
        frames = (
            replace(moving_frame(index, width=64, height=64), y=flat * (level + index))
            for index in range(20)
        )
        RawClip.write(tmp_path / f"{name}.y4m", frames, Fraction(25))
    parts = tuple(Part(clip=f"{name}.y4m", from_s=0, to_s=0.8) for name in ("dark", "light"))

    (cut,) = write_parts(parts, tmp_path, tmp_path / "out", alternate_s=0.2, scale=2)

    wanted = [(40 if index // 5 % 2 == 0 else 200) + index for index in range(20)]
    assert _luma(cut) == wanted


def test_cameras_of_other_sizes_cannot_alternate(tmp_path: Path) -> None:
    write_footage(tmp_path / "a.y4m", count=10, width=64, height=64)
    write_footage(tmp_path / "b.y4m", count=10, width=96, height=64)
    parts = tuple(Part(clip=f"{name}.y4m", from_s=0, to_s=0.4) for name in "ab")
    with pytest.raises(ConfigError, match="must have one size and rate"):
        write_parts(parts, tmp_path, tmp_path / "out", alternate_s=0.2, scale=2)


def test_a_file_without_cases_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cases.toml"
    path.write_text('[[case]]\nname = "a"\n')
    with pytest.raises(ConfigError, match="does not hold cases"):
        read_cases(path)


def test_the_benchmark_adapts_measures_and_keeps_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_footage(tmp_path / "match.y4m", count=60, width=192, height=192)
    case = Case(
        name="match",
        about="a pattern that moves",
        adapt=(Part(clip="match.y4m", from_s=0, to_s=1.6),),
        test=(Part(clip="match.y4m", from_s=1.8, to_s=2.2),),
    )
    monkeypatch.setattr(adaptation, "read_cases", lambda: [case])
    kept = tmp_path / "adaptation.json"
    command = ["--data", str(tmp_path), "--steps", "4", "--bitrates", "400k", "--no-vmaf"]

    assert adaptation.main([*command, "--json", str(kept)]) == 0

    (row,) = json.loads(kept.read_text())["figures"]["rows"]
    assert (row["case"], row["part"], row["steps"]) == ("match", "fuse", 4)
    assert row["coded_bytes"] > 0
    assert [rung["codec"] for rung in row["test"]] == ["h264", "av1"]
    gains = [rung["adapted_psnr_y_db"] - rung["base_psnr_y_db"] for rung in row["test"]]
    assert np.mean(gains) > 0
    assert "live-xs-x4  match" in capsys.readouterr().out
    assert adaptation.main([*command, "--models", "nowhere"]) == 2
    assert "unknown model 'nowhere'" in capsys.readouterr().err
