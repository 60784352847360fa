"""Settings from a file mean what the same flags mean, and what is wrong with them is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from cyclopts import App

from decoder.cli import app as receive
from decoder.receiver_config import ReceiverConfig
from encoder.cli import app as send
from encoder.config import SenderConfig
from stream.command_line import EXIT_USER, parse_command, run_command
from stream.errors import ConfigError

RECEIVER = """
output = ["a.mp4", "hls:web"]
lr-output = "small.mp4"
listen = "0.0.0.0:80"
size = "1920x1080"
lookahead = 0
public-view = true
stream-token = ["a=one", "b=two"]
request-rate = 2.5
"""

RECEIVER_FLAGS = (
    *("--output", "a.mp4", "hls:web", "--lr-output", "small.mp4", "--listen", "0.0.0.0:80"),
    *("--size", "1920x1080", "--lookahead", "0", "--public-view"),
    *("--stream-token", "a=one", "b=two", "--request-rate", "2.5"),
)


def written(folder: Path, text: str) -> str:
    path = folder / "edvr.toml"
    path.write_text(text)
    return str(path)


def receiver(*arguments: str) -> dict[str, object]:
    config = parse_command(receive, list(arguments)).arguments["config"]
    assert isinstance(config, ReceiverConfig)
    return settings_of(config)


def sender(*arguments: str) -> dict[str, object]:
    config = parse_command(send, list(arguments)).arguments["config"]
    assert isinstance(config, SenderConfig)
    return settings_of(config)


def settings_of(config: ReceiverConfig | SenderConfig) -> dict[str, object]:
    """All fields but the name of the file."""
    return {name: getattr(config, name) for name in config.__slots__ if name != "config"}


def test_a_file_and_flags_make_the_same_receiver(tmp_path: Path) -> None:
    path = written(tmp_path, RECEIVER)
    assert receiver("--config", path) == receiver(*RECEIVER_FLAGS)


def test_a_file_and_flags_make_the_same_sender(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'input = "clip.mp4"\nwhip = "http://h/whip"\nbitrate = "auto"\nloop = true\n'
        "audio = false\nduration = 3.5\n",
    )
    flags = ("--whip", "http://h/whip", "--bitrate", "auto", "--loop", "--no-audio")
    assert sender(f"--config={path}") == sender("clip.mp4", *flags, "--duration", "3.5")


def problem_with(app: App, path: str) -> str:
    try:
        parse_command(app, ["--config", path])
    except ConfigError as problem:
        return str(problem)
    return ""


def test_every_flag_can_stand_in_a_file(tmp_path: Path) -> None:
    for app in (receive, send):
        names = {name for each in app.assemble_argument_collection() for name in each.names}
        keys = sorted(name.removeprefix("--") for name in names if name.startswith("--"))
        assert len(keys) > 15
        problems = {key: problem_with(app, written(tmp_path, f'{key} = "1"')) for key in keys}
        assert [key for key, said in problems.items() if "unknown option" in said] == []
        assert "unknown option" in problem_with(app, written(tmp_path, "nonsense = 1"))


def test_the_command_line_goes_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, 'output = "a.mp4"\ntoken = "file"\npublic-view = true\n')
    assert receiver("--config", path)["token"] == "file"
    monkeypatch.setenv("EDVR_TOKEN", "environment")
    assert receiver("--config", path)["token"] == "environment"
    given = receiver("--token", "flag", "--output", "b.mp4", "--no-public-view", "--config", path)
    assert (given["token"], given["outputs"], given["public_view"]) == ("flag", ("b.mp4",), False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('output = "null:"\nsise = "640x360"', "sise"),
        ('output = "null:"\n[size]\nwidth = 640', "width"),
        ('output = "null:"\nsize = "big"', "'big' is not a picture size"),
        ('output = "null:"\nlookahead = "many"', "lookahead"),
        ('output = "null:"\npublic-view = "perhaps"', "public-view"),
        ('output = "null:"\nlookahead = ', "is not TOML: Invalid value"),
        ('output = "null:"\nconfig = "other.toml"', "cannot name another"),
        ("\x00", "is not TOML"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    assert run_command(receive, ["--config", written(tmp_path, text)]) == EXIT_USER
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_a_file_that_cannot_be_read_is_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "latin.toml").write_bytes(b'output = "caf\xe9.mp4"')
    for path in (tmp_path / "nowhere.toml", tmp_path, tmp_path / "latin.toml"):
        assert run_command(receive, ["--config", str(path)]) == EXIT_USER
        said = capsys.readouterr().err
        assert str(path) in said
        assert said.count("\n") == 1
