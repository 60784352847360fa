"""The process that trains beside a sender: started, fed, listened to, and started again if it ends.

Whatever happens to it, sending goes on: windows that it does not take are left out, and after a few
ends it is given up.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from encoder.downscale import Downscaler
from stream.buffer import BufferClosed, LatestBuffer
from stream.errors import EdvrError
from stream.frame import Size
from stream.trainer_messages import (
    DeltaReport,
    MessageKind,
    ModelNeeds,
    TrainerReport,
    TrainingWindow,
    decode_needs,
    decode_proposal,
    decode_report,
    encode_epoch,
    encode_window,
    read_message,
    write_message,
)
from stream.weight_delta import read_header

_log = logging.getLogger(__name__)

TRAIN: tuple[str, ...] = (sys.executable, "-m", "decoder.training.online")
MOST_STARTS = 3
RESTART_AFTER_S = 5.0
WINDOWS_WAITING = 2
"""For the process; more are left out."""

MESSAGES_WAITING = 64
"""Of all kinds: the others come once a delta, or once a session."""

CLOSE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedDelta:
    """A coded delta and what it brings."""

    report: DeltaReport
    coded: bytes


_Message = tuple[MessageKind, bytes | TrainingWindow]


class TrainerProcess:
    """Trains one model. Every method returns at once; any thread may call them."""

    def __init__(
        self,
        *,
        model: str,
        device: str,
        video_bps: int,
        train: Sequence[str] | None = None,
        restart_after_s: float = RESTART_AFTER_S,
    ) -> None:
        """model: what `decoder.training.online` takes. device: "cpu" or "cuda". train: command line
        of that, `TRAIN` unless given.
        """
        self._command = [*(train or TRAIN), "--model", model, "--device", device]
        self._command += ["--video-bps", str(video_bps)]
        self._restart_after_s = restart_after_s
        self._out: LatestBuffer[_Message] = LatestBuffer(MESSAGES_WAITING)
        self._lock = threading.Lock()
        self._needs: ModelNeeds | None = None
        self._report = TrainerReport()
        self._delta: TrainedDelta | None = None
        self._epoch, self._next_number = 0, 0
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()
        self._downscaler, self._is_too_small = Downscaler(), False
        self.is_given_up = False
        """Whether nothing is trained any more."""
        self._thread = threading.Thread(target=self._run, name="trainer", daemon=True)
        self._thread.start()

    @property
    def needs(self) -> ModelNeeds | None:
        """What windows are wanted; None while none are."""
        with self._lock:
            return self._needs

    @property
    def report(self) -> TrainerReport:
        """What the process did so far; since its last start."""
        with self._lock:
            return self._report

    def give(self, window: TrainingWindow) -> None:
        """Train on this, too, unless others are waiting already."""
        if len(self._out) < WINDOWS_WAITING:
            self._put(MessageKind.WINDOW, window)

    def take_delta(self) -> TrainedDelta | None:
        """A delta that is to be sent now. The next one is made after `note_sent`."""
        with self._lock:
            delta, self._delta = self._delta, None
            return delta

    def note_sent(self) -> None:
        """The last delta is on its way."""
        self._put(MessageKind.SENT, b"")

    def restart(self) -> None:
        """The receiver has the model's own weights; deltas that were made before are of no use."""
        with self._lock:
            self._epoch += 1
            self._delta = None
            epoch = self._epoch
        self._put(MessageKind.RESTART, encode_epoch(epoch))

    def close(self) -> None:
        """End it; callable twice."""
        self._closing.set()
        self._out.close()
        with self._lock:
            process = self._process
        if process is not None:
            process.kill()
        self._thread.join(CLOSE_S)

    def _put(self, kind: MessageKind, content: bytes | TrainingWindow) -> None:
        self._out.put((kind, content))

    def _run(self) -> None:
        for _ in range(MOST_STARTS):
            reason = self._one_life()
            with self._lock:
                self._needs, self._delta, self._process = None, None, None
            if self._closing.is_set():
                return
            _log.warning("training beside the stream ended: %s", reason)
            if self._closing.wait(self._restart_after_s):
                return
        self.is_given_up = True
        _log.warning("nothing is learned of this stream any more; sending goes on")

    def _one_life(self) -> str:
        """Start it and listen until it ends; why it ended."""
        command = [*self._command, "--first-number", str(self._next_number)]
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            return str(error)
        said: list[str] = []
        threads = [
            threading.Thread(target=work, args=(process, *rest), daemon=True)
            for work, rest in ((self._write, ()), (_listen, (said,)))
        ]
        with self._lock:
            self._process = process
            epoch = self._epoch
        try:
            if epoch:
                self._put(MessageKind.RESTART, encode_epoch(epoch))
            for thread in threads:
                thread.start()
            self._read(process)
        except (EdvrError, OSError, ValueError, TypeError, KeyError) as error:
            said.append(str(error))
        finally:
            process.kill()
            process.wait()
            self._out.put((MessageKind.SENT, b""))  # wakes the writer, which finds nobody
            for thread in threads:
                thread.join(CLOSE_S)
            for pipe in (process.stdin, process.stdout, process.stderr):
                with suppress(OSError):
                    if pipe is not None:
                        pipe.close()
        return said[-1] if said else f"exit status {process.returncode}"

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        while not self._closing.is_set():
            message = read_message(process.stdout)
            if message is None:
                return
            kind, content = message
            with self._lock:
                if kind is MessageKind.READY:
                    self._needs = decode_needs(content)
                elif kind is MessageKind.REPORT:
                    self._report = decode_report(content)
                elif kind is MessageKind.DELTA:
                    report, coded = decode_proposal(content)
                    self._next_number = read_header(coded).sequence + 1
                    if report.epoch == self._epoch:
                        self._delta = TrainedDelta(report=report, coded=coded)

    def _write(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        while process.poll() is None:
            try:
                message = self._out.get()
                if message is None:
                    continue
                kind, content = message
                if isinstance(content, TrainingWindow):
                    window = self._fitted(content)
                    if window is not None:
                        write_message(process.stdin, kind, encode_window(window))
                else:
                    write_message(process.stdin, kind, content)
            except (BufferClosed, OSError, ValueError):  # it has ended, or is closed
                return

    def _fitted(self, window: TrainingWindow) -> TrainingWindow | None:
        """Its original in the size that is restored to; None where the source has no more."""
        needs = self.needs
        if needs is None:
            return None
        lr = window.lr[0].size
        size = Size(width=lr.width * needs.scale, height=lr.height * needs.scale)
        source = window.original.size
        if size.width > source.width or size.height > source.height:
            if not self._is_too_small:
                self._is_too_small = True
                _log.info("nothing is learned: the source, %s, is no larger than %s", source, size)
            return None
        original = self._downscaler.downscale(window.original, size=size)
        return TrainingWindow(lr=window.lr, index=window.index, original=original)


def _listen(process: subprocess.Popen[bytes], said: list[str]) -> None:
    """Keep the last line that the process says."""
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if text := line.decode(errors="replace").strip():
                said[:] = [text]
    except ValueError:  # closed meanwhile
        return
