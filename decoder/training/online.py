"""The process that trains beside a sender: `python -m decoder.training.online`, started by it.

Windows and acknowledgements come in on standard input, deltas and reports go out on standard output
(`stream.trainer_messages`); it ends with its input, and so with the sender. One thread reads, so
that windows that come too fast push out older ones and nobody waits for this process.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO

import torch

from decoder.artefact import Artefact, find_artefact, list_artefacts
from decoder.training.denormals import denormals_flushed
from decoder.training.online_training import OnlineSettings, OnlineTraining, Proposal
from decoder.training.online_windows import sample_of
from stream.buffer import BufferClosed, LatestBuffer
from stream.errors import ConfigError, EdvrError
from stream.trainer_messages import (
    DeltaReport,
    MessageKind,
    ModelNeeds,
    TrainerReport,
    TrainingWindow,
    decode_epoch,
    decode_window,
    encode_fields,
    encode_proposal,
    read_message,
    write_message,
)

WINDOWS_WAITING = 2
STEPS_AT_A_TIME = 4
"""Between two looks at what has come; a tenth of a second on a core of its own."""

REPORT_INTERVAL_S = 5.0
IDLE_S = 0.2


class Trainer:
    """Trains on what comes in until the input ends."""

    def __init__(
        self,
        training: OnlineTraining,
        source: IO[bytes],
        out: IO[bytes],
        *,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """on_end: called when the input has ended, from the thread that reads it."""
        self._on_end = on_end
        self._training, self._source, self._out = training, source, out
        self._windows: LatestBuffer[TrainingWindow] = LatestBuffer(WINDOWS_WAITING)
        self._may_propose = threading.Event()
        self._may_propose.set()
        self._wanted_epoch, self._epoch = 0, 0
        self._taken, self._psnr_y_db = 0, 0.0
        self._reported_s = time.monotonic()

    def run(self) -> None:
        """Returns when the input has ended; raises what went wrong."""
        threading.Thread(target=self._read, name="input", daemon=True).start()
        manifest = self._training.artefact.manifest
        needs = ModelNeeds(
            scale=manifest.scale, window=manifest.window, lookahead=manifest.lookahead
        )
        write_message(self._out, MessageKind.READY, encode_fields(needs))
        while not self._windows.closed:
            self._once()

    def _once(self) -> None:
        if self._epoch != (wanted := self._wanted_epoch):
            self._training.restart()
            self._epoch = wanted
        is_waiting = not self._training.is_ready or self._training.is_round_over
        try:
            while (window := self._windows.get(IDLE_S if is_waiting else 0)) is not None:
                is_waiting = False
                with suppress(ConfigError):  # too small to learn from: that may change
                    self._psnr_y_db = self._training.add(sample_of(window))
                self._taken += 1
        except BufferClosed:
            return
        if self._training.is_ready:
            self._training.train(STEPS_AT_A_TIME)
        if self._training.is_round_over and self._may_propose.is_set():
            self._propose()
        if time.monotonic() - self._reported_s >= REPORT_INTERVAL_S:
            self._report()

    def _propose(self) -> None:
        proposal = self._training.propose()
        if proposal is None or self._epoch != self._wanted_epoch:
            return  # in the latter case it would follow what is not there
        self._may_propose.clear()
        self._training.publish(proposal)
        self._report()
        told = _told(proposal, self._epoch)
        write_message(self._out, MessageKind.DELTA, encode_proposal(told, proposal.coded))

    def _report(self) -> None:
        self._reported_s = time.monotonic()
        report = TrainerReport(
            windows=self._taken,
            steps=self._training.steps_done,
            cpu_s=round(time.process_time(), 1),
            rounds_refused=self._training.rounds_refused,
            psnr_y_db=round(self._psnr_y_db, 2) if self._taken else None,
        )
        write_message(self._out, MessageKind.REPORT, encode_fields(report))

    def _read(self) -> None:
        try:
            while (message := read_message(self._source)) is not None:
                kind, content = message
                if kind is MessageKind.WINDOW:
                    self._windows.put(decode_window(content))
                elif kind is MessageKind.RESTART:
                    self._wanted_epoch = decode_epoch(content)
                    self._may_propose.set()
                elif kind is MessageKind.SENT:
                    self._may_propose.set()
        finally:
            self._windows.close()
            self._on_end()


def _told(proposal: Proposal, epoch: int) -> DeltaReport:
    return DeltaReport(
        gain_db=round(proposal.gain_db, 4),
        over_model_db=round(proposal.over_model_db, 4),
        price_db=round(proposal.price_db, 4),
        is_state=proposal.is_state,
        epoch=epoch,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status. What is wrong is the last line of standard error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", required=True, help="SHA-256, name or folder")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--video-bps", type=int, required=True, help="what the codec spends")
    parser.add_argument("--first-number", type=int, default=0, help="of a delta")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--niceness", type=int, default=19)
    parser.add_argument("--debug", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.DEBUG if options.debug else logging.WARNING)
    _give_way(options.niceness)
    torch.set_num_threads(options.threads)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints
    try:
        settings = OnlineSettings(video_bps=options.video_bps)
        training = OnlineTraining(
            _artefact(options.model),
            settings,
            device=options.device,
            first_number=options.first_number,
        )
        # Nothing is left to do for a sender that has gone, not even the step that runs.
        with denormals_flushed():
            Trainer(training, sys.stdin.buffer, out, on_end=lambda: os._exit(0)).run()
    except BrokenPipeError:
        return 0
    except (EdvrError, torch.AcceleratorError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _give_way(niceness: int) -> None:
    """Whatever else wants a core comes first; also on where priorities cannot be set."""
    with suppress(OSError):
        os.nice(niceness - os.nice(0))
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _artefact(model: str) -> Artefact:
    """Raises ConfigError when there is none."""
    for artefact in list_artefacts():
        if artefact.sha256 == model:
            return artefact
    if len(model) == 64 and set(model) <= set("0123456789abcdef"):
        raise ConfigError(
            f"the receiver's model ({model[:12]}…) is not here; name its folder by --adapt-model"
        )
    return find_artefact(model)


if __name__ == "__main__":
    raise SystemExit(main())
