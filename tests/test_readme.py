"""Every command that the README shows, taken from its sh blocks, parsed and run as written."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from cyclopts import App

from stream.command_line import EXIT_INTERRUPTED, parse_command, run_command
from stream.frame import Size

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OTHERS_PLAYERS = {"ffplay"}
"""What the README pipes into; nothing of ours to check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command line of the README, without what it is piped into."""

    program: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return shlex.join((self.program, *self.arguments))


def commands_of(text: str) -> list[Command]:
    """The commands in the fenced sh blocks of a Markdown text."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [command_of(line) for line in lines if line and not line.startswith("#")]


def command_of(line: str) -> Command:
    words, *pipes = (shlex.split(part) for part in line.split(" | "))
    assert {pipe[0] for pipe in pipes} <= OTHERS_PLAYERS, line
    environment = []
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environment.append((name, value))
    return Command(
        program=Path(words[0]).name, arguments=tuple(words[1:]), environment=tuple(environment)
    )


def app_of(program: str) -> App:
    """The command line of an installed program."""
    app = importlib.import_module(PROJECT["scripts"][program].partition(":")[0]).app
    assert isinstance(app, App)
    return app


COMMANDS = commands_of(README)
BY_PROGRAM = {
    program: [command for command in COMMANDS if command.program == program]
    for program in {command.program for command in COMMANDS}
}
OURS = [command for command in COMMANDS if command.program in PROJECT["scripts"]]
NO_STREAM = [
    command
    for command in OURS
    if command.program == "edvr-restore"
    or "--help" in command.arguments
    or "info" in command.arguments
]


CLIP_FRAMES = 50
CLIP_FPS = 25


@pytest.fixture(scope="session")
def rendered_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the two clips that the README's commands name: two seconds, with sound."""
    folder = tmp_path_factory.mktemp("readme")
    write_clip(folder / "clip.mp4", Size(width=1280, height=720))
    write_clip(folder / "small.mp4", Size(width=640, height=360))
    return folder


@pytest.fixture
def clips(rendered_clips: Path, tmp_path: Path) -> Path:
    """A fresh working folder with both clips in it."""
    for clip in rendered_clips.iterdir():
        shutil.copy(clip, tmp_path)
    return tmp_path


def write_clip(path: Path, size: Size) -> None:
    """A moving gradient with a 440 Hz tone."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=CLIP_FPS, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = size.width, size.height, "yuv420p"
        audio = container.add_stream("aac", rate=48_000, layout="stereo")
        ramp = np.add.outer(np.arange(size.height), np.arange(size.width))
        for index in range(CLIP_FRAMES):
            luma = (16 + (ramp + 4 * index) % 220).astype(np.uint8)
            chroma = np.full((size.height // 2, size.width), 128, np.uint8)
            picture = av.VideoFrame.from_ndarray(np.vstack((luma, chroma)), format="yuv420p")
            picture.pts = index
            container.mux(video.encode(picture))
        for start in range(0, 48_000 * CLIP_FRAMES // CLIP_FPS, 1024):
            tone = 0.1 * np.sin(2 * np.pi * 440 * (start + np.arange(1024)) / 48_000)
            sound = av.AudioFrame.from_ndarray(
                np.stack((tone, tone)).astype(np.float32), format="fltp", layout="stereo"
            )
            sound.sample_rate, sound.pts = 48_000, start
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def decoded_sizes(path: Path) -> list[tuple[int, int]]:
    """Width and height of every picture in a video file."""
    with av.open(str(path)) as container:
        return [(picture.width, picture.height) for picture in container.decode(video=0)]


def start(command: Command, folder: Path, port: int) -> subprocess.Popen[str]:
    """Run a command of the README in `folder`, with its port 8080 replaced by `port`."""
    arguments = [argument.replace(":8080", f":{port}") for argument in command.arguments]
    if command.program == "ffmpeg":
        program = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error"]
    else:
        module = PROJECT["scripts"][command.program].partition(":")[0]
        program = [sys.executable, "-c", f"import sys, {module} as m; sys.exit(m.main())"]
    return subprocess.Popen(
        [*program, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


def wait_until_listening(port: int, process: subprocess.Popen[str]) -> None:
    """Return once `port` accepts connections; fail when `process` ends before."""
    deadline_s = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline_s:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    process.kill()
    assert process.stderr is not None
    raise AssertionError(f"the receiver does not listen: {process.stderr.read()}")


def test_commands_are_found_in_sh_blocks_alone() -> None:
    text = (
        "edvr-send outside\n```sh\n# why\nA=1 edvr-send 'a b' \\\n  --loop\nmake demo | ffplay -\n"
        "```\n```json\nedvr-send inside\n```\n"
    )
    assert commands_of(text) == [
        Command(program="edvr-send", arguments=("a b", "--loop"), environment=(("A", "1"),)),
        Command(program="make", arguments=("demo",)),
    ]


def test_the_readme_shows_every_program() -> None:
    assert set(BY_PROGRAM) == {*PROJECT["scripts"], "make", "python3", "pip", "ffmpeg"}


@pytest.mark.parametrize("command", OURS, ids=str)
def test_a_command_parses(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in command.environment:
        monkeypatch.setenv(name, value)
    parse_command(app_of(command.program), command.arguments)


@pytest.mark.parametrize("command", BY_PROGRAM["make"], ids=str)
def test_a_make_target_and_its_variables_exist(command: Command) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for word in command.arguments:
        name, is_variable, _ = word.partition("=")
        definition = rf"^{name} \?=" if is_variable else rf"^{name}:"
        assert re.search(definition, makefile, re.MULTILINE), word


@pytest.mark.parametrize("command", BY_PROGRAM["pip"], ids=str)
def test_what_pip_is_asked_for_exists(command: Command) -> None:
    install, constraint, lock, what = command.arguments
    assert (install, constraint) == ("install", "--constraint")
    assert (ROOT / lock).is_file()
    extra = what.removeprefix(".").strip("[]")
    assert not extra or extra in PROJECT["optional-dependencies"]


def test_the_table_of_extras_is_complete() -> None:
    rows = re.findall(r"^\| `([a-z]+)` \| \S", README, re.MULTILINE)
    assert set(PROJECT["optional-dependencies"]) <= set(rows)


def test_pictures_and_files_that_the_readme_links_to_exist() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_flags_named_in_the_text_are_flags_of_our_commands(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for program in ("edvr-send", "edvr-receive", "edvr-restore"):
        assert run_command(app_of(program), ["--help"]) == 0
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`(--[a-z][a-z-]*)", prose))
    assert "--lookahead" in named
    assert named - known == set()


@pytest.mark.parametrize("command", NO_STREAM, ids=str)
def test_a_command_that_needs_no_stream_runs(
    command: Command, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clips)
    assert run_command(app_of(command.program), command.arguments) == 0
    if command.program == "edvr-restore":
        assert decoded_sizes(clips / command.arguments[1]) == [(1280, 720)] * CLIP_FRAMES


@pytest.mark.parametrize(
    "sender",
    [
        BY_PROGRAM["edvr-send"][0],
        pytest.param(BY_PROGRAM["ffmpeg"][0], marks=pytest.mark.real_peer),
    ],
    ids=str,
)
def test_the_first_receiver_restores_what_a_sender_publishes(sender: Command, clips: Path) -> None:
    port = free_port()
    with start(BY_PROGRAM["edvr-receive"][0], clips, port) as receiving:
        try:
            wait_until_listening(port, receiving)
            with start(sender, clips, port) as sending:
                _, said = sending.communicate(timeout=60)
            assert sending.returncode == 0, said
            receiving.send_signal(signal.SIGINT)
            _, said = receiving.communicate(timeout=30)
            assert receiving.returncode in (0, EXIT_INTERRUPTED), said
        finally:
            receiving.kill()
    sizes = decoded_sizes(clips / "restored.mp4")
    assert set(sizes) == {(1280, 720)}
    # A stream that short is mostly its own start, and a busy machine drops what is late.
    assert len(sizes) >= CLIP_FRAMES // 10
