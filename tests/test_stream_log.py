"""What is logged as text stays text; as JSON, every line on standard error is an object."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from pathlib import Path

from stream.log import FIGURES, JsonFormatter
from tests.live_processes import REPOSITORY, Receiver, Sender


def record(message: str, *values: object, **extra: object) -> logging.LogRecord:
    made = logging.getLogger("decoder.x").makeRecord(
        "decoder.x", logging.WARNING, "x.py", 1, message, values, None, extra=extra
    )
    made.created = 1_700_000_000.25
    return made


def test_an_event_is_one_object_on_one_line() -> None:
    line = JsonFormatter().format(record("two\nlines and a %s", '"quote"'))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "module": "decoder.x",
        "message": 'two\nlines and a "quote"',
    }


def test_the_stream_and_the_figures_of_an_event_can_be_searched_for() -> None:
    event = json.loads(JsonFormatter().format(record("stream %s: gone", "a-1", figures={"n": 1})))
    assert (event["stream"], event[FIGURES]) == ("a-1", {"n": 1})


def test_a_traceback_stays_inside_its_event() -> None:
    try:
        raise ValueError("why")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    event = json.loads(JsonFormatter().format(made))
    assert event["traceback"].endswith("ValueError: why")


def test_programs_that_log_json_write_nothing_else(tmp_path: Path) -> None:
    arguments = ("--model", "lanczos", "--size", "320x192", "--log-format", "json")
    with Receiver(tmp_path, *arguments, "--output", "null:") as receiver:
        receiver.wait_for("listening for publishers at ")
        found = re.search(r"http://[0-9.:]+/whip", receiver.log)
        assert found is not None
        flags = ("--size", "160x96", "--duration", "2.5", "--no-audio", "--log-format", "json")
        with Sender(tmp_path, "test:", found[0], *flags) as sender:
            assert sender.end(None) == 0
        assert receiver.end() == 0
    sent = [json.loads(line) for line in sender.log.splitlines()]
    received = [json.loads(line) for line in receiver.log.splitlines()]
    assert any(each.get(FIGURES, {}).get("frames_per_s", 0) > 0 for each in sent)
    [summary] = [each for each in received if FIGURES in each]
    assert summary["stream"] == "live"
    assert summary[FIGURES]["frames_restored"] > 0


def test_an_error_that_ends_a_program_is_an_object_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "decoder.cli", "--log-format", "json"]
    command += ["--output", "null:", "--model", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=60)
    assert run.returncode == 2
    [line] = run.stderr.splitlines()
    assert json.loads(line)["level"] == "error"
