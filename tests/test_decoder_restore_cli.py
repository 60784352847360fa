import subprocess
import sys
from pathlib import Path

import pytest

from decoder.restore_cli import app
from stream.command_line import run_command
from tests.clips import frame_times_ms, write_clip
from tests.profiles import profile_for
from tests.tiny_artefact import write_tiny_artefact


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "in.mp4")


def test_a_file_is_restored_by_one_command(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_tiny_artefact(tmp_path / "tiny-x2")
    arguments = [str(source), str(tmp_path / "out.mp4"), "--size", "128x96"]
    arguments += ["--model", str(model.folder), "--backend", "onnxruntime", "--preset", "ultrafast"]
    assert run_command(app, arguments) == 0
    assert len(frame_times_ms(tmp_path / "out.mp4")) == 10
    said = capsys.readouterr()
    assert "10 frames, model tiny-x2 on onnxruntime f32" in said.err
    assert said.out == ""


def test_a_profile_changes_the_picture_and_is_named(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_tiny_artefact(tmp_path / "tiny-x2")
    (tmp_path / "show.profile").write_bytes(profile_for(model))
    arguments = ["--size", "128x96", "--model", str(model.folder), "--backend", "onnxruntime"]
    pictures = []
    for profile in ([], ["--profile", str(tmp_path / "show.profile")]):
        output = tmp_path / "out.y4m"
        assert run_command(app, [str(source), str(output), *arguments, *profile]) == 0
        pictures.append(output.read_bytes())
        output.unlink()
    assert "model tiny-x2 on onnxruntime f32 with profile a test" in capsys.readouterr().err
    assert len(pictures[0]) == len(pictures[1])
    assert pictures[0] != pictures[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["IN"], "OUTPUT"),
        (["missing.mp4", "OUT"], "missing.mp4 does not exist"),
        (["IN", "IN"], "input itself"),
        (["IN", "out.avi"], "must end in .mp4, .mkv, .y4m"),
        (["IN", "OUT", "--model", "nonesuch"], "unknown model 'nonesuch'"),
        (["IN", "OUT", "--backend", "abacus"], "abacus"),
        (["IN", "OUT", "--size", "12"], "12"),
        (["IN", "OUT", "--size", "127x96"], "even"),
        (["IN", "OUT", "--crf", "99"], "crf"),
        (["IN", "OUT", "--lookahead", "-1"], "lookahead"),
        (["IN", "OUT", "--profile", "none.profile"], "cannot read profile none.profile"),
        (["IN", "OUT", "--profile", "DAMAGED"], "DAMAGED: damaged"),
        (["IN", "OUT", "--profile", "OTHER"], "is for tiny-x2 version 1, and that is not"),
        (["IN", "OUT", "--profile", "OTHER", "--model", "live-xs-x2"], "not for live-xs-x2"),
        (["IN", "OUT", "--profile", "http://a/b"], "only https"),
    ],
)
def test_a_wrong_command_is_answered_in_one_line_with_exit_status_2(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    profile = profile_for(write_tiny_artefact(tmp_path / "tiny-x2"))
    (tmp_path / "DAMAGED").write_bytes(profile[:-1])
    (tmp_path / "OTHER").write_bytes(profile)
    paths = {"IN": str(source), "OUT": str(tmp_path / "out.mp4")}
    paths |= {name: str(tmp_path / name) for name in ("DAMAGED", "OTHER")}
    assert run_command(app, [paths.get(argument, argument) for argument in arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out.mp4").exists()


def test_a_damaged_model_is_answered_in_one_line(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_tiny_artefact(tmp_path / "tiny-x2")
    (model.folder / "extract.onnx").write_bytes(b"")
    arguments = [str(source), str(tmp_path / "out.mp4"), "--model", str(model.folder)]
    assert run_command(app, arguments) == 2
    said = capsys.readouterr().err
    assert "extract.onnx is not the file it was published with" in said
    assert said.count("\n") == 1


def _command(*arguments: str, limit_bytes: int | None = None) -> subprocess.CompletedProcess[bytes]:
    limit = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes},) * 2);"
        if limit_bytes is not None
        else ""
    )
    code = f"{limit}import sys; from decoder.restore_cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, check=False, timeout=60
    )


def test_standard_output_takes_y4m_and_nothing_else(source: Path) -> None:
    done = _command(str(source), "-", "--model", "lanczos", "--size", "128x96")
    assert done.returncode == 0, done.stderr
    header, _, frames = done.stdout.partition(b"\n")
    assert header.startswith(b"YUV4MPEG2 W128 H96 F25:1 ")
    assert len(frames) == 10 * (6 + 128 * 96 * 3 // 2)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.y4m"])
def test_a_full_disk_is_answered_in_one_line_and_leaves_nothing(
    source: Path, tmp_path: Path, name: str
) -> None:
    output = tmp_path / name
    done = _command(
        str(source), str(output), "--model", "lanczos", "--crf", "0", limit_bytes=20_000
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count(b"\n") == 1
    assert b"File too large" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4"]
