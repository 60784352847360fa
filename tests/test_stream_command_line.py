from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
from cyclopts import App, Parameter

from stream.command_line import (
    EXIT_BROKE,
    EXIT_INTERRUPTED,
    EXIT_PIPE_CLOSED,
    EXIT_USER,
    make_app,
    one_line,
    parse_command,
    run_command,
)
from stream.config import HostPort
from stream.errors import CodecError, ConfigError, InferenceFailed, ModelMismatch, PeerError
from stream.flag_types import (
    AddressOrNone,
    BearerToken,
    BitrateOrAuto,
    PictureSize,
    PictureSizeOrAuto,
    StreamName,
    StreamNames,
)
from stream.frame import Size


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleConfig:
    """One field of each kind that the real configs have."""

    input: Annotated[StreamName, Parameter(name="--input")] = field(kw_only=False)
    """What to read."""
    whip: str
    """Where to publish."""
    outputs: Annotated[StreamNames, Parameter(name="--output")] = ()
    """Where to write."""
    token: BearerToken = None
    """What to prove oneself with."""
    bitrate_bps: Annotated[BitrateOrAuto, Parameter(name="--bitrate")] = 150_000
    """Target on the wire."""
    rung_size: Annotated[PictureSizeOrAuto, Parameter(name="--size")] = None
    """What travels."""
    box: PictureSize = Size(width=1280, height=720)
    """What is restored."""
    listen: AddressOrNone = None
    """Where to listen."""
    codec: Literal["auto", "h264"] = "auto"
    """What to compress with."""
    audio: bool = True
    """Send sound."""
    fps: float | None = None
    """Frames a second."""

    def __post_init__(self) -> None:
        if self.fps is not None and not self.fps > 0:
            raise ConfigError(f"--fps must be positive, got {self.fps}")


def app_that(does: object = None) -> App:
    """An application whose command raises `does` when it is an exception, else returns it."""
    app = make_app("edvr-example", "Shows how command lines are built.")

    @app.default
    def command(config: Annotated[ExampleConfig, Parameter(name="*")]) -> object:
        if isinstance(does, BaseException):
            raise does
        return does

    return app


def config_of(*arguments: str) -> ExampleConfig:
    config = parse_command(app_that(), arguments).arguments["config"]
    assert isinstance(config, ExampleConfig)
    return config


GOOD = ("clip.mp4", "--whip", "http://127.0.0.1:8080/whip")


def test_flags_come_from_the_fields_of_the_config() -> None:
    given = (*GOOD, "--no-audio", "--bitrate", "1.5M", "--size", "640x360", "--box=960x540")
    assert config_of(*given, "--listen", "[::1]:80", "--codec", "h264", "--fps", "29.97") == (
        ExampleConfig(
            input="clip.mp4",
            whip="http://127.0.0.1:8080/whip",
            bitrate_bps=1_500_000,
            rung_size=Size(width=640, height=360),
            box=Size(width=960, height=540),
            listen=HostPort(host="::1", port=80),
            codec="h264",
            audio=False,
            fps=29.97,
        )
    )


def test_fields_left_out_keep_the_defaults_of_the_config() -> None:
    assert config_of(*GOOD) == ExampleConfig(input=GOOD[0], whip=GOOD[2])


def test_auto_is_none_in_the_config() -> None:
    config = config_of(*GOOD, "--bitrate", "auto", "--size", "auto")
    assert config.bitrate_bps is None
    assert config.rung_size is None


@pytest.mark.parametrize("arguments", [("-", *GOOD[1:]), (*GOOD[1:], "-"), (*GOOD[1:], "--", "-")])
def test_a_single_dash_is_an_input(arguments: tuple[str, ...]) -> None:
    assert config_of(*arguments).input == "-"


@pytest.mark.parametrize(
    "outputs",
    [
        ("--output", "a.mp4", "hls:live", "y4m:-"),
        ("--output", "a.mp4", "--output", "hls:live", "--output", "y4m:-"),
        ("--output", "a.mp4", "hls:live", "--output=y4m:-"),
    ],
)
def test_several_outputs_follow_one_flag_or_several(outputs: tuple[str, ...]) -> None:
    assert config_of(*GOOD, *outputs).outputs == ("a.mp4", "hls:live", "y4m:-")


def test_the_token_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDVR_TOKEN", "secret")
    assert config_of(*GOOD).token == "secret"
    assert config_of(*GOOD, "--token", "other").token == "other"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "INPUT is missing"),
        (("clip.mp4",), "--whip is missing"),
        (GOOD[:2], "--whip needs a value"),
        ((*GOOD, "--token", "--no-audio"), "--token needs a value"),
        ((*GOOD, "--output"), "--output needs a value"),
        ((*GOOD, "other.mp4"), "'other.mp4' is one argument too many"),
        ((*GOOD, "--bitrat", "1k"), "--bitrat"),
        (("--bitrat", *GOOD), "there is no flag --bitrat"),
        (("", *GOOD[1:]), "empty"),
        ((*GOOD, "--codec", "mpeg2"), '"h264"'),
        ((*GOOD, "--fps", "fast"), "--fps"),
        ((*GOOD, "--fps", "nan"), "--fps must be positive, got nan"),
        ((*GOOD, "--bitrate", "fast"), "--bitrate: 'fast' is not a bitrate"),
        ((*GOOD, "--size", "640"), "--size: '640' is not a picture size"),
        ((*GOOD, "--listen", "80"), "--listen: '80' is not HOST:PORT"),
        ((*GOOD, "--whip", "twice"), "--whip"),
    ],
)
def test_a_wrong_command_line_is_one_line_on_stderr_and_status_2(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(app_that(), arguments) == EXIT_USER
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("edvr-example: ")
    assert printed.err.count("\n") == 1
    assert says in printed.err


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (ConfigError("no such clip"), EXIT_USER, "no such clip"),
        (CodecError("cannot decode it"), EXIT_USER, "cannot decode it"),
        (ModelMismatch("wrong hash"), EXIT_USER, "wrong hash"),
        (FileNotFoundError(2, "No such file", "a.mp4"), EXIT_USER, "No such file (a.mp4)"),
        (PeerError("went away"), EXIT_BROKE, "went away"),
        (InferenceFailed("out of memory"), EXIT_BROKE, "out of memory"),
        (
            ExceptionGroup("tasks", [OSError("socket"), ExceptionGroup("", [PeerError("left")])]),
            EXIT_BROKE,
            "left",
        ),
        (ZeroDivisionError("division"), EXIT_BROKE, "defect of ours (ZeroDivisionError: division)"),
        (ConfigError("two\nlines and \x1b[2J escapes"), EXIT_USER, "two lines and ?[2J escapes"),
    ],
)
def test_an_error_while_running_is_one_line_without_traceback(
    error: Exception, status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(app_that(error), GOOD) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("edvr-example: ")
    assert printed.err.count("\n") == 1
    assert says in printed.err


def test_the_traceback_comes_out_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDVR_TRACEBACK", "1")
    with pytest.raises(ConfigError, match="no such clip"):
        run_command(app_that(ConfigError("no such clip")), GOOD)


@pytest.mark.parametrize(
    "interrupt", [KeyboardInterrupt(), BaseExceptionGroup("", [KeyboardInterrupt()])]
)
def test_ctrl_c_ends_quietly_with_the_status_shells_use(
    interrupt: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(app_that(interrupt), GOOD) == EXIT_INTERRUPTED
    assert capsys.readouterr() == ("", "")


def test_a_command_may_return_its_own_status() -> None:
    assert run_command(app_that(None), GOOD) == 0
    assert run_command(app_that(3), GOOD) == 3


def test_a_reader_that_goes_away_ends_the_command_quietly() -> None:
    program = (
        "import sys\n"
        "from stream.command_line import make_app, run_command\n"
        "app = make_app('edvr-example', 'Prints for ever.')\n"
        "@app.default\n"
        "def command() -> None:\n"
        "    while True: print('x' * 1000)\n"
        "sys.exit(run_command(app, []))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(10) == b"x" * 10
    process.stdout.close()
    with process.stderr as stderr:
        assert stderr.read() == b""
    assert process.wait(timeout=30) == EXIT_PIPE_CLOSED


def test_help_shows_each_field_with_its_docstring_and_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert run_command(app_that(), ["--help"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for text in (
        "Shows how command lines are built.",
        "INPUT --input",
        "What to read.",
        "--bitrate RATE|auto",
        "[default: 150k]",
        "[default: auto]",
        "[default: 1280x720]",
        "--audio --no-audio",
        "[env var: EDVR_TOKEN]",
    ):
        assert text in printed.out
    assert "None" not in printed.out


def test_version_names_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(app_that(), ["--version"]) == 0
    assert capsys.readouterr().out.startswith("edvr-example ")


def test_a_subcommand_is_named_in_what_to_read_next(capsys: pytest.CaptureFixture[str]) -> None:
    app = make_app("edvr-example", "Has parts.")

    @app.command
    def train(*, steps: int) -> int:
        return steps

    assert run_command(app, ["train", "--steps", "0"]) == 0
    assert run_command(app, ["train"]) == EXIT_USER
    assert capsys.readouterr().err == (
        "edvr-example: --steps is missing (see edvr-example train --help)\n"
    )
    assert run_command(app, ["trian"]) == EXIT_USER
    assert 'Did you mean "train"?' in capsys.readouterr().err


def test_parsing_alone_runs_nothing_and_refuses_what_running_refuses() -> None:
    ran = app_that(AssertionError("the command was run"))
    assert parse_command(ran, GOOD).arguments["config"].input == "clip.mp4"
    for wrong in (("clip.mp4",), (*GOOD, "--fps", "0"), (*GOOD, "--size", "640")):
        with pytest.raises(ConfigError):
            parse_command(ran, wrong)


def test_one_line_keeps_what_is_printable() -> None:
    assert one_line(" Grüße,\r\n\tWelt\x07 \u202eflip ") == "Grüße, Welt? ?flip"
