"""The trainer as its sender sees it: real processes that speak, fall silent, lie and die."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from encoder.trainer_process import MOST_STARTS, TrainedDelta, TrainerProcess
from stream.frame import Size
from stream.trainer_messages import TrainingWindow
from tests.live_media import picture
from tests.live_processes import REPOSITORY, wait_until
from tests.weight_deltas import state

HEAD = f"""
import sys, time, os
sys.path.insert(0, {str(REPOSITORY)!r})
from stream.trainer_messages import *
source, out = sys.stdin.buffer, sys.stdout.buffer
number = int(sys.argv[sys.argv.index("--first-number") + 1])
def ready():
    write_message(out, MessageKind.READY, encode_fields(ModelNeeds(scale=2, window=3, lookahead=1)))
def report(**values):
    write_message(out, MessageKind.REPORT, encode_fields(TrainerReport(**values)))
def delta(coded, epoch):
    told = DeltaReport(
        gain_db=0.5, over_model_db=0.7, price_db=0.1, is_state=True, epoch=epoch
    )
    write_message(out, MessageKind.DELTA, encode_proposal(told, coded))
"""


@contextmanager
def trainer(folder: Path, program: str) -> Iterator[TrainerProcess]:
    script = folder / "trainer.py"
    script.write_text(HEAD + program)
    process = TrainerProcess(
        model="a-model",
        device="cpu",
        video_bps=150_000,
        train=(sys.executable, str(script)),
        restart_after_s=0.05,
    )
    try:
        yield process
    finally:
        process.close()
        assert not process._thread.is_alive()


def window(*, original: Size) -> TrainingWindow:
    lr = tuple(picture(index, size=Size(width=80, height=48)) for index in range(3))
    return TrainingWindow(lr=lr, index=1, original=picture(1, size=original))


def taken(process: TrainerProcess) -> TrainedDelta:
    """The next delta."""
    found: list[TrainedDelta] = []

    def is_there() -> bool:
        delta = process.take_delta()
        if delta is not None:
            found.append(delta)
        return bool(found)

    wait_until(is_there, "a delta")
    return found[0]


def test_windows_go_in_at_the_models_size_and_deltas_come_out(tmp_path: Path) -> None:
    program = f"""
ready()
coded = {state(3)!r}
while (message := read_message(source)) is not None:
    kind, content = message
    if kind is MessageKind.WINDOW:
        found = decode_window(content)
        assert str(found.original.size) == "160x96", found.original.size
        assert found.index == 1 and len(found.lr) == 3
        report(windows=1, steps=7, cpu_s=0.5, psnr_y_db=31.0)
        delta(coded, 0)
    if kind is MessageKind.SENT:
        report(windows=1, steps=8)
"""
    with trainer(tmp_path, program) as process:
        wait_until(lambda: process.needs is not None, "a model that is ready")
        assert process.take_delta() is None
        process.give(window(original=Size(width=320, height=192)))
        wait_until(lambda: process.report.steps == 7, "a report")
        delta = taken(process)
        assert delta.coded == state(3)
        assert delta.report.gain_db == 0.5
        process.note_sent()
        wait_until(lambda: process.report.steps == 8, "the next report")
        assert process.take_delta() is None


def test_what_was_made_before_a_restart_is_not_sent(tmp_path: Path) -> None:
    program = f"""
ready()
coded = {state(1)!r}
while (message := read_message(source)) is not None:
    kind, content = message
    if kind is MessageKind.RESTART:
        epoch = decode_epoch(content)
        for each in (epoch - 1, epoch):
            delta(coded, each)
"""
    with trainer(tmp_path, program) as process:
        for epoch in (1, 2):
            process.restart()
            delta = taken(process)
            assert delta.report.epoch == epoch
            assert process.take_delta() is None


def test_a_source_no_larger_than_what_is_restored_teaches_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    program = """
ready()
read_message(source)
report(steps=99)
"""
    with trainer(tmp_path, program) as process:
        wait_until(lambda: process.needs is not None, "a model that is ready")
        for _ in range(3):
            process.give(window(original=Size(width=120, height=72)))
            time.sleep(0.02)
        wait_until(lambda: "nothing is learned" in caplog.text, "a word about it")
        assert process.report.steps == 0
    assert caplog.text.count("nothing is learned") == 1


def test_one_that_ends_is_started_again_and_in_the_end_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = f"""
ready()
if number == 0:
    delta({state(41)!r}, 0)
sys.stderr.write(f"no luck with number {{number}}\\n")
sys.exit(3)
"""
    with trainer(tmp_path, program) as process:
        wait_until(lambda: process.is_given_up, "the end")
        process.give(window(original=Size(width=320, height=192)))
        process.restart()
        assert process.needs is None
    assert caplog.text.count("training beside the stream ended") == MOST_STARTS
    assert caplog.text.count("no luck with number 0") == 1
    assert caplog.text.count("no luck with number 42") == MOST_STARTS - 1  # above what was sent
    assert caplog.text.count("sending goes on") == 1


def test_one_that_does_not_read_holds_nothing_up(tmp_path: Path) -> None:
    with trainer(tmp_path, "ready()\ntime.sleep(60)\n") as process:
        wait_until(lambda: process.needs is not None, "a model that is ready")
        started_s = time.monotonic()
        for _ in range(200):
            process.give(window(original=Size(width=320, height=192)))
        assert time.monotonic() - started_s < 20
        assert len(process._out) <= 3


def test_nonsense_ends_it_and_not_the_sender(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with trainer(tmp_path, 'out.write(b"\\xff" * 64)\nout.flush()\ntime.sleep(60)\n') as process:
        wait_until(lambda: process.is_given_up, "the end")
    assert "not a message" in caplog.text
