"""The documentation says what is so: its commands parse and run, its tables match the code."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from decoder.backends import BackendName
from decoder.cli import app as receive
from decoder.metrics import (
    INFO,
    INFO_LABELS,
    INFO_MEANING,
    LATENCY,
    LATENCY_MEANING,
    METRICS,
    OUTPUT_METRICS,
    OUTPUT_UP,
    OUTPUT_UP_MEANING,
    VIEW_METRICS,
)
from stream.command_line import EXIT_INTERRUPTED, parse_command, run_command
from stream.sdp_text import MAX_SDP_BYTES
from tests.live_processes import Receiver, Sender
from tests.test_readme import (
    PROJECT,
    Command,
    app_of,
    clips,  # noqa: F401 (a fixture)
    commands_of,
    decoded_sizes,
    free_port,
    rendered_clips,  # noqa: F401 (a fixture)
    start,
    wait_until_listening,
)

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
TEXT = {path.name: path.read_text() for path in DOCS}
ALL = "\n".join(TEXT.values())
COMMANDS = [command for text in TEXT.values() for command in commands_of(text)]
OURS = [command for command in COMMANDS if command.program in PROJECT["scripts"]]
OTHERS = {"ffmpeg", "gst-launch-1.0", "curl", "make", "podman", "sudo"}
DEPLOY = ROOT / "docs" / "deploy"


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands_in(page: str, program: str) -> list[Command]:
    return [command for command in commands_of(TEXT[page]) if command.program == program]


def test_every_program_is_known() -> None:
    assert {command.program for command in COMMANDS} <= {*PROJECT["scripts"], *OTHERS}


@pytest.mark.parametrize("command", OURS, ids=str)
def test_a_command_of_ours_parses(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in command.environment:
        monkeypatch.setenv(name, value)
    [settings] = blocks(TEXT["deployment.md"], "toml")
    (tmp_path / "receive.toml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    parse_command(app_of(command.program), command.arguments)


def test_links_lead_somewhere() -> None:
    for page, text in {**TEXT, "../README.md": (ROOT / "README.md").read_text()}.items():
        folder = (ROOT / "docs" / page).parent
        for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
            assert (folder / link).exists(), (page, link)


def test_the_index_lists_every_page_and_the_readme_the_index() -> None:
    listed = set(re.findall(r"\]\(([a-z-]+\.md)\)", TEXT["README.md"]))
    assert listed == set(TEXT) - {"README.md"}
    assert "](docs/README.md)" in (ROOT / "README.md").read_text()


def test_flags_that_are_named_are_flags(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for program, *command in (("edvr-send",), ("edvr-receive",), ("edvr-model", "adapt")):
        assert run_command(app_of(program), [*command, "--help"]) == 0
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out)) | {"--network"}
    prose = re.sub(r"^```.*?^```$", "", ALL, flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`(--[a-z][a-z-]*)", prose))
    assert {"--segment", "--public-view", "--log-format"} <= named
    assert named - known == set()


def test_the_tables_of_metrics_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `(edvr_\w+)` \| (\w+) \| (.+) \|$", TEXT["metrics.md"], re.MULTILINE)
    expected = {
        (each.name + ("_total" if each.kind == "counter" else ""), each.kind, each.meaning)
        for each in (*METRICS, *OUTPUT_METRICS, *VIEW_METRICS)
    }
    expected |= {(LATENCY, "gauge", LATENCY_MEANING), (INFO, "gauge", INFO_MEANING)}
    expected |= {(OUTPUT_UP, "gauge", OUTPUT_UP_MEANING)}
    assert set(rows) == expected
    assert ", ".join(f"`{label}`" for label in INFO_LABELS) in TEXT["metrics.md"]
    conditions = re.findall(r"^\| `[^|]*?(edvr_\w+)[^|]*` ", TEXT["metrics.md"], re.MULTILINE)
    assert set(conditions) <= {name for name, _, _ in expected} | {"edvr_streams"}


def test_the_table_of_engines_lists_every_backend() -> None:
    rows = re.findall(r"^\| `([a-z][a-z0-9-]*)` \| .+ \|$", TEXT["engines.md"], re.MULTILINE)
    assert sorted(rows) == sorted(set(get_args(BackendName)) - {"auto"})


def test_limits_that_are_named_are_those_of_the_code() -> None:
    assert f"| an offer | {MAX_SDP_BYTES // 1024} KiB, within 10 s |" in TEXT["deployment.md"]


def test_the_diagram_is_text_with_both_ends() -> None:
    [diagram] = blocks(TEXT["how-it-works.md"], "mermaid")
    assert {"Sender", "Receiver"} <= set(re.findall(r"\[(\w+)\]", diagram))
    assert diagram.count("subgraph") == diagram.count("\n  end")


def test_the_quick_start_restores_what_our_sender_publishes(clips: Path) -> None:  # noqa: F811
    port = free_port()
    with start(commands_in("quick-start.md", "edvr-receive")[0], clips, port) as receiving:
        try:
            wait_until_listening(port, receiving)
            with start(commands_in("quick-start.md", "edvr-send")[0], clips, port) as sending:
                _, said = sending.communicate(timeout=60)
            assert sending.returncode == 0, said
            receiving.send_signal(signal.SIGTERM)
            _, said = receiving.communicate(timeout=30)
            assert receiving.returncode in (0, EXIT_INTERRUPTED), said
        finally:
            receiving.kill()
    assert set(decoded_sizes(clips / "restored.mp4")) == {(1280, 720)}


def test_the_ffmpeg_command_is_the_one_of_the_readme_with_keyframes() -> None:
    """That one is run by the tests of the README."""
    [readme] = [
        command
        for command in commands_of((ROOT / "README.md").read_text())
        if command.program == "ffmpeg"
    ]
    [ours] = commands_in("quick-start.md", "ffmpeg")
    assert [word for word in ours.arguments if word not in ("-g", "50")] == list(readme.arguments)


def test_the_service_runs_as_its_files_say_and_answers_the_curl_commands(tmp_path: Path) -> None:
    """The example settings on a real receiver, asked by curl as the page shows it."""
    settings = ("--config", str(DEPLOY / "receive.toml"))
    output = str(tmp_path / "{stream}.mp4")
    model = ("--model", "lanczos", "--size", "320x192", "--token", "secret", "--public-view")
    with Receiver(tmp_path, *settings, "--output", output, *model) as receiver:
        receiver.wait_for("listening for publishers at ")
        found = re.search(r"http://[0-9.:]+/whip", receiver.log)
        assert found is not None
        flags = ("--size", "160x96", "--token", "secret", "--no-audio")
        with Sender(tmp_path, "test:?size=320x180", f"{found[0]}/show", *flags) as sender:
            receiver.wait_for_frames(5)
            address = found[0].removesuffix("/whip")
            said = [
                subprocess.run(
                    ["curl", *(word.replace("http://127.0.0.1:8080", address) for word in rest)],
                    capture_output=True,
                    text=True,
                    timeout=20,
                    check=True,
                ).stdout
                for rest in (each.arguments for each in commands_in("deployment.md", "curl"))
            ]
            assert sender.end() == 0
        assert receiver.end(signal.SIGTERM) == 0
        log = receiver.log
    health, streams, metrics = said
    assert health == "ok\n"
    assert [each["stream"] for each in json.loads(streams)["streams"]] == ["show"]
    assert "edvr_frames_restored" in {each.name for each in text_string_to_metric_families(metrics)}
    assert all(json.loads(line)["time"] for line in log.splitlines())
    [recording] = tmp_path.glob("show-*Z.mp4")
    [size] = set(decoded_sizes(recording))
    assert size[0] <= 320
    assert size[1] <= 192


def test_the_examples_of_settings_are_taken(tmp_path: Path) -> None:
    for text in (*blocks(TEXT["deployment.md"], "toml"), (DEPLOY / "receive.toml").read_text()):
        path = tmp_path / "receive.toml"
        path.write_text(text)
        parse_command(receive, ["--config", str(path)])
        assert tomllib.loads(text)["segment"] == "10m"


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyse = shutil.which("systemd-analyze")
    if analyse is None:
        pytest.skip("systemd-analyze is not installed")
    # Its program and settings are not installed where tests run; everything else must be right.
    unit = tmp_path / "edvr-receive.service"
    text = (DEPLOY / "edvr-receive.service").read_text()
    unit.write_text(text.replace("/opt/edvr/bin/edvr-receive", sys.executable))
    run = subprocess.run([analyse, "verify", str(unit)], capture_output=True, text=True, timeout=60)
    complaints = [line for line in run.stderr.splitlines() if "edvr-receive.service" in line]
    assert complaints == []
    assert "RestartPreventExitStatus=2" in text


def test_the_container_is_made_of_files_that_are_there() -> None:
    lines = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(" ", 1) for line in lines if line and not line.startswith("#")]
    names = [name for name, _ in steps]
    assert names[0] == "FROM"
    assert set(names) <= {
        *("FROM", "COPY", "RUN", "USER", "WORKDIR", "VOLUME", "ENV", "EXPOSE", "STOPSIGNAL"),
        *("HEALTHCHECK", "ENTRYPOINT", "CMD"),
    }
    values = dict(steps)
    [install] = [value for name, value in steps if name == "RUN" and "pip install" in value]
    assert "/src/.ci/constraints.txt" in install
    assert (ROOT / ".ci" / "constraints.txt").is_file()
    [extra] = re.findall(r"/src\[(\w+)\]", install)
    assert extra in PROJECT["optional-dependencies"]
    assert json.loads(values["ENTRYPOINT"]) == ["edvr-receive"]
    parse_command(receive, json.loads(values["CMD"]))
    check = json.loads(values["HEALTHCHECK"].removeprefix("CMD "))
    compile(check[-1], "HEALTHCHECK", "exec")
    downloads = re.findall(r"https?://(?!127\.0\.0\.1)\S+|apt-get|curl|wget", " ".join(lines))
    assert downloads == []


def test_other_programs_get_the_urls_that_we_serve() -> None:
    for command in COMMANDS:
        if command.program == "gst-launch-1.0":
            # Not a loopback address, which GStreamer does not use.
            assert "whip-endpoint=http://studio.example:8080/whip" in command.arguments
        if command.program == "podman" and command.arguments[0] == "build":
            words = shlex.split(str(command))
            assert (ROOT / words[words.index("-f") + 1]).is_file()
