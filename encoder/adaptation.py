"""What the sender does so that the receiver's network learns its stream: `--adapt`.

A process trains (`encoder.trainer_process`) on windows that `encoder.window_watch` picks; what it
finds worth sending goes out on the channel of weights (`stream.weight_channel`) within the budget,
which the video leaves meanwhile. The receiver says which model it restores with; who does not take
weights says nothing, and nothing is trained.
"""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass

from encoder.trainer_process import TrainerProcess
from encoder.weight_publisher import WeightPublisher
from stream.errors import ConfigError
from stream.trainer_messages import DeltaReport, ModelNeeds, TrainerReport, TrainingWindow
from stream.weight_channel import SendingWeights

_log = logging.getLogger(__name__)

SILENT_MS = 20_000.0
"""A receiver that takes weights names its model as soon as it restores; after so long the user is
told that this one does not."""

_GPU_CHECK = "import sys, torch; sys.exit(not torch.cuda.is_available())"
_GPU_CHECK_S = 120.0

Start = Callable[[str], TrainerProcess]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationStats:
    """What `--adapt` did so far. model: that is trained, None while none is.

    delta_bytes: with what carries them. last_gain_db, over_model_db: of the last delta, measured on
    frames that were not trained on: over what the receiver had, and over the model as it is.
    """

    model: str | None = None
    deltas: int = 0
    delta_bytes: int = 0
    is_sending: bool = False
    last_gain_db: float | None = None
    over_model_db: float | None = None
    windows: int = 0
    steps: int = 0
    trainer_cpu_s: float = 0.0
    rounds_refused: int = 0

    def line(self) -> str:
        """For people."""
        if self.model is None:
            return "learning nothing yet"
        text = f"learned {self.deltas} deltas, {self.delta_bytes / 1000:.1f} kB"
        if self.over_model_db is not None:
            text += f", {self.over_model_db:+.2f} dB"
        return f"{text} ({self.steps} steps, {self.trainer_cpu_s:.0f} s)"

    def figures(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


class Adaptation:
    """One sender's, through all of its sessions; for the event loop's thread."""

    def __init__(self, publisher: WeightPublisher, *, model: str | None, start: Start) -> None:
        """publisher: sends what was learned; it is polled, and given its sessions, elsewhere.

        model: the receiver's; None to be told by it. start: trains a model.
        """
        self._model, self._start = model, start
        self._publisher, self._is_sending = publisher, False
        self._trainer: TrainerProcess | None = None
        self._trained: str | None = None
        self._weights: SendingWeights | None = None
        self._since_ms: float | None = None
        self._is_silence_told = False
        self._deltas = 0
        self._last: DeltaReport | None = None

    @property
    def needs(self) -> ModelNeeds | None:
        """What windows are wanted now; from any thread."""
        trainer = self._trainer
        return None if trainer is None else trainer.needs

    def give(self, window: TrainingWindow) -> None:
        """Learn this, too; from any thread."""
        trainer = self._trainer
        if trainer is not None:
            trainer.give(window)

    def begin(self, weights: SendingWeights | None) -> None:
        """Another session: its receiver has the model's own weights."""
        self._weights, self._since_ms, self._is_sending = weights, None, False
        if self._trainer is not None:
            self._trainer.restart()

    def poll(self, *, now_ms: float) -> None:
        """Have the next delta sent when there is one; after the publisher was polled."""
        weights = self._weights
        if weights is None:
            return
        self._since_ms = now_ms if self._since_ms is None else self._since_ms
        model = self._wanted_model(weights)
        if model is None:
            self._tell_silence(now_ms)
            return
        if model != self._trained:
            self._train(model)
        trainer = self._trainer
        assert trainer is not None
        if self._publisher.take_state_wanted():
            _log.info("the receiver asks for all that was learned")
            trainer.restart()
        if self._is_sending and not self._publisher.sending_bps:
            self._is_sending = False
            self._deltas += 1
            trainer.note_sent()
        if not self._is_sending and (delta := trainer.take_delta()) is not None:
            self._is_sending = self._publisher.put(delta.coded)
            self._last = delta.report
            _log.info(
                "sending %.1f kB of weights: %+.2f dB, %+.2f dB over the model as it is",
                *(len(delta.coded) / 1000, delta.report.gain_db, delta.report.over_model_db),
            )

    def stats(self) -> AdaptationStats:
        """Counts so far."""
        report = TrainerReport() if self._trainer is None else self._trainer.report
        last = self._last
        return AdaptationStats(
            model=self._trained,
            deltas=self._deltas,
            delta_bytes=self._publisher.bytes_sent,
            is_sending=self._is_sending,
            last_gain_db=None if last is None else last.gain_db,
            over_model_db=None if last is None else last.over_model_db,
            windows=report.windows,
            steps=report.steps,
            trainer_cpu_s=report.cpu_s,
            rounds_refused=report.rounds_refused,
        )

    def close(self) -> None:
        """End training; takes a moment."""
        if self._trainer is not None:
            self._trainer.close()
            self._trainer = None

    def _wanted_model(self, weights: SendingWeights) -> str | None:
        if not self._publisher.is_open:
            return None
        return self._model or weights.model

    def _train(self, model: str) -> None:
        if self._trainer is not None:  # the receiver went over to another one
            self._trainer.close()
        _log.info("learning this stream for the receiver's model %.12s", model)
        self._trained, self._trainer, self._last = model, self._start(model), None

    def _tell_silence(self, now_ms: float) -> None:
        is_late = self._since_ms is not None and now_ms - self._since_ms > SILENT_MS
        # What of a channel that is closed is the publisher's to tell.
        if is_late and self._publisher.is_open and not self._is_silence_told:
            self._is_silence_told = True
            _log.warning("the receiver names no model: nothing is learned of this stream")


def check_trainable(adapt: str) -> None:
    """Raises ConfigError when training cannot work here; takes seconds for a GPU."""
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("onnx") is None:
        raise ConfigError(
            f"--adapt {adapt} trains with torch: pip install 'edvr-live[train]', or leave it out"
        )
    if adapt == "gpu":
        command = [sys.executable, "-c", _GPU_CHECK]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_GPU_CHECK_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"--adapt gpu: torch does not start: {error}") from error
        if done.returncode:
            raise ConfigError("--adapt gpu: torch finds no GPU here; take --adapt cpu")
