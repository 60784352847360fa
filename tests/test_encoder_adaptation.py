"""What a sender does with what its trainer finds, on a channel whose other end is the test."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from encoder import adaptation
from encoder.adaptation import SILENT_MS, Adaptation, check_trainable
from encoder.trainer_process import TrainerProcess
from encoder.weight_publisher import BURST_BYTES, WeightPublisher
from stream.errors import ConfigError
from stream.weight_messages import DeltaAssembler, pieces_of
from tests.live_processes import REPOSITORY, wait_until
from tests.weight_deltas import BASE, state

PROGRAM = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
from stream.trainer_messages import *
from tests.weight_deltas import state
source, out = sys.stdin.buffer, sys.stdout.buffer
number, epoch = 0, 0
def propose():
    told = DeltaReport(
        gain_db=0.5, over_model_db=0.7, price_db=0.1, is_state=True, epoch=epoch
    )
    write_message(out, MessageKind.DELTA, encode_proposal(told, state(number)))
    report = TrainerReport(windows=1, steps=10 * number + 10, cpu_s=2.5)
    write_message(out, MessageKind.REPORT, encode_fields(report))
write_message(out, MessageKind.READY, encode_fields(ModelNeeds(scale=2, window=3, lookahead=1)))
propose()
while (message := read_message(source)) is not None:
    number += 1
    if message[0] is MessageKind.RESTART:
        epoch = decode_epoch(message[1])
    propose()
"""


class _Channel:
    """A `SendingWeights` whose other end is here."""

    def __init__(self) -> None:
        self.is_open, self.is_state_wanted, self.is_refused = False, False, False
        self.model: str | None = None
        self.useless: set[str] = set()
        self.waiting_bytes = 0
        self.sent: list[bytes] = []
        self._number = 0

    def pieces(self, delta: bytes) -> list[bytes]:
        self._number += 1
        return pieces_of(delta, self._number)

    def send(self, piece: bytes) -> None:
        self.sent.append(piece)

    def deltas(self) -> list[bytes]:
        assembler = DeltaAssembler()
        return [delta for each in self.sent if (delta := assembler.push(each)) is not None]


class _Sender:
    """Polls ten times a second of its own time."""

    def __init__(self, folder: Path, *, model: str | None = None) -> None:
        script = folder / "trainer.py"
        script.write_text(PROGRAM)
        self.started: list[str] = []
        self.now_ms = 0.0
        self.channel = _Channel()

        def start(model: str) -> TrainerProcess:
            self.started.append(model)
            command: Sequence[str] = (sys.executable, str(script))
            return TrainerProcess(model=model, device="cpu", video_bps=1, train=command)

        self.publisher = WeightPublisher(budget_bps=10_000)
        self.adaptation = Adaptation(self.publisher, model=model, start=start)
        self.begin()

    def begin(self) -> None:
        self.publisher.begin_session(self.channel, now_ms=self.now_ms)
        self.adaptation.begin(self.channel)  # type: ignore[arg-type]  # stands for the real one

    def poll(self, count: int = 1) -> None:
        for _ in range(count):
            self.now_ms += 100
            self.publisher.poll(now_ms=self.now_ms)
            self.adaptation.poll(now_ms=self.now_ms)

    def until_sent(self, count: int) -> None:
        def are_sent() -> bool:
            self.poll()
            return len(self.channel.deltas()) >= count

        wait_until(are_sent, f"{count} deltas sent")


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[_Sender]:
    found = _Sender(tmp_path)
    yield found
    found.adaptation.close()


def test_nothing_is_trained_until_the_receiver_says_what_for(
    sender: _Sender, caplog: pytest.LogCaptureFixture
) -> None:
    sender.poll(5)
    sender.channel.is_open = True
    sender.poll(5)
    assert sender.started == []
    assert sender.adaptation.needs is None
    assert sender.adaptation.stats().line() == "learning nothing yet"
    sender.channel.model = BASE
    sender.poll(5)
    assert sender.started == [BASE]
    wait_until(lambda: sender.adaptation.needs is not None, "a model that is ready")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_what_is_learned_goes_out_piece_by_piece_and_the_video_gives_way_meanwhile(
    sender: _Sender,
) -> None:
    sender.channel.is_open, sender.channel.model = True, BASE
    assert sender.publisher.sending_bps == 0

    def has_begun() -> bool:
        sender.poll()
        return sender.publisher.sending_bps > 0

    wait_until(has_begun, "a delta that is being sent")
    assert sender.publisher.sending_bps == 10_000
    assert sender.adaptation.stats().is_sending
    sender.until_sent(3)
    assert sender.channel.deltas()[:3] == [state(0), state(1), state(2)]
    stats = sender.adaptation.stats()
    assert stats.deltas >= 3
    assert stats.delta_bytes > 3 * len(state(0))
    assert stats.over_model_db == 0.7
    assert stats.figures()["last_gain_db"] == 0.5
    assert "+0.70 dB" in stats.line()
    assert 8 * stats.delta_bytes <= 10 * sender.now_ms + 8 * BURST_BYTES


def test_another_session_and_a_receiver_that_asks_get_what_was_made_after_that(
    sender: _Sender, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sender.channel.is_open, sender.channel.model = True, BASE
    sender.until_sent(1)
    sender.channel.is_state_wanted = True
    sender.until_sent(2)
    assert not sender.channel.is_state_wanted
    assert caplog.text.count("asks for all that was learned") == 1
    before = sender.channel
    sender.channel = _Channel()
    sender.begin()
    sender.poll(3)
    assert sender.channel.sent == []  # until the new one says that it takes any
    sender.channel.is_open, sender.channel.model = True, BASE
    sender.until_sent(1)
    assert sender.started == [BASE]
    assert sender.channel.deltas()[0] not in before.deltas()


def test_a_receiver_that_changes_its_model_is_followed(sender: _Sender) -> None:
    sender.channel.is_open, sender.channel.model = True, BASE
    sender.until_sent(1)
    sender.channel.model = "cd" * 32
    sender.until_sent(2)
    assert sender.started == [BASE, "cd" * 32]


def test_a_model_that_the_user_names_needs_no_word_of_the_receiver(tmp_path: Path) -> None:
    sender = _Sender(tmp_path, model="live-xs-x4")
    try:
        sender.channel.is_open = True
        sender.until_sent(1)
        assert sender.started == ["live-xs-x4"]
    finally:
        sender.adaptation.close()


@pytest.mark.parametrize(
    ("is_open", "told"), [(False, "takes no weights"), (True, "names no model")]
)
def test_an_end_that_takes_no_weights_is_told_once(
    sender: _Sender, is_open: bool, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    sender.channel.is_open = is_open
    sender.poll(90)
    assert caplog.text == ""
    sender.poll(round(SILENT_MS / 100))
    assert caplog.text.count(told) == 1
    sender.begin()
    sender.poll(1000)
    assert len(caplog.records) == 1
    assert sender.started == []


def test_where_training_cannot_work_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptation, "_GPU_CHECK", "raise SystemExit(1)")
    with pytest.raises(ConfigError, match="no GPU here; take --adapt cpu"):
        check_trainable("gpu")
    monkeypatch.setattr(adaptation, "_GPU_CHECK", "raise SystemExit(0)")
    check_trainable("gpu")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'edvr-live\[train\]'"):
        check_trainable("cpu")


def test_the_sender_ends_with_one_line_where_torch_is_missing() -> None:
    without_torch = (
        "import importlib.util as u, sys\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'torch' else find(name, *rest)\n"
        "from encoder.cli import main\n"
        "sys.exit(main())\n"
    )
    command = [sys.executable, "-c", without_torch, "test:", "--adapt", "cpu"]
    command += ["--whip", "http://127.0.0.1:9/whip"]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "pip install 'edvr-live[train]'" in line
