"""One live run: receiver and sender as a user starts them, watched from all sides."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.live.feed import ClipFeed
from benchmarks.live.output import OutputReader, ShownFrame
from benchmarks.live.relay import MediaRelay, PathModel
from benchmarks.live.whip_proxy import WhipProxy
from benchmarks.live.wire_record import WireRecord
from stream.errors import ConfigError
from stream.frame import Frame, Size

T = TypeVar("T")

START_TIMEOUT_S = 60.0
"""For the receiver to open its model, and again for the first picture to come out."""

SETTLE_S = 2.0
"""Between the first picture out and the measurement: codec and rate control find their level."""

DRAIN_S = 3.0
"""After the last measured picture was fed, for it to come out."""

_LISTENING = re.compile(r"listening for publishers at (\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSession:
    """What to run. sender, receiver: further arguments of `edvr-send` and `edvr-receive`.

    size: what the receiver restores to. forward, backward: what the path does to packets.
    """

    clip: Sequence[Frame]
    frame_rate: float
    size: Size
    sender: tuple[str, ...] = ()
    receiver: tuple[str, ...] = ()
    forward: PathModel | None = None
    backward: PathModel | None = None
    lr_output: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRecording:
    """What was seen. fed_ms: by frame number, of the whole run; first: the first measured number;
    shown: measured pictures that came out. stats: the receiver's last statistics.
    """

    fed_ms: dict[int, float]
    first: int
    count: int
    shown: list[ShownFrame]
    unreadable: int
    wire: WireRecord
    stats: dict[str, Any]

    @property
    def measured_fed_ms(self) -> dict[int, float]:
        """When each measured picture was handed to the sender."""
        numbers = range(self.first, self.first + self.count)
        return {number: self.fed_ms[number] for number in numbers if number in self.fed_ms}

    @property
    def came_out_ms(self) -> dict[int, float]:
        """When each measured picture came out for the first time."""
        numbers = range(self.first, self.first + self.count)
        out: dict[int, float] = {}
        for each in self.shown:
            if each.number in numbers:
                out.setdefault(each.number, each.shown_ms)
        return out

    @property
    def span_ms(self) -> tuple[float, float]:
        """Beginning and end of the measured part."""
        fed = self.measured_fed_ms
        start_ms = fed[self.first]
        return start_ms, start_ms + (fed[max(fed)] - start_ms) * len(fed) / max(1, len(fed) - 1)


def record(session: LiveSession) -> LiveRecording:
    """Run a session from its start to its end. Raises ConfigError when a process fails."""
    with tempfile.TemporaryDirectory(prefix="edvr-live-") as folder:
        return _Run(session, Path(folder)).record()


class _Run:
    """The processes of one session; every one of them has ended when `record` returns."""

    def __init__(self, session: LiveSession, folder: Path) -> None:
        self._session, self._folder = session, folder
        self._stats = folder / "stats.jsonl"
        self._logs = {name: folder / f"{name}.log" for name in ("receiver", "sender")}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def record(self) -> LiveRecording:
        session = self._session
        relay = MediaRelay(forward=session.forward, backward=session.backward)
        feed = ClipFeed(session.clip, frame_rate=session.frame_rate)
        proxy: WhipProxy | None = None
        try:
            output = self._start_receiver()
            proxy = WhipProxy(self._receiver_url(), relay)
            self._start("sender", "encoder.cli", feed.url, "--whip", proxy.url, *session.sender)
            first_ms = self._wait(lambda: output.first_ms, "no picture came out of the receiver")
            self._settle(first_ms + 1000 * SETTLE_S)
            output.keep_from = max(feed.fed_ms)
            feed.begin()
            relay.restart_traces()
            limit_s = START_TIMEOUT_S + len(session.clip) / session.frame_rate
            self._wait(lambda: feed.finished.is_set() or None, "the clip was not read", limit_s)
            first = feed.first
            if first is None:
                raise ConfigError("the sender stopped reading before the clip began")
            last = first + len(session.clip) - 1
            self._settle(
                1000 * (time.monotonic() + DRAIN_S),
                until=lambda: output.newest is not None and output.newest >= last,
            )
            self._end()
            shown, unreadable = output.finish()
            if output.error is not None:
                raise output.error
        finally:
            self._kill()
            feed.close()
            if proxy is not None:
                proxy.close()
            relay.close()
        return LiveRecording(
            fed_ms=feed.fed_ms,
            first=first,
            count=len(session.clip),
            shown=[each for each in shown if first <= each.number <= last],
            unreadable=unreadable,
            wire=relay.record,
            stats=json.loads(self._stats.read_text().splitlines()[-1]),
        )

    def _start_receiver(self) -> OutputReader:
        session = self._session
        arguments = ["--listen", "127.0.0.1:0", "--stats", str(self._stats)]
        arguments += ["--size", str(session.size), "--output", "y4m:-"]
        if session.lr_output is not None:
            arguments += ["--lr-output", f"y4m:{session.lr_output}"]
        process = self._start("receiver", "decoder.cli", *arguments, *session.receiver, pipe=True)
        assert process.stdout is not None
        return OutputReader(process.stdout)

    def _receiver_url(self) -> str:
        def url() -> str | None:
            found = _LISTENING.search(self._log("receiver"))
            return found[1] if found else None

        return self._wait(url, "the receiver does not listen")

    def _start(
        self, name: str, module: str, *arguments: str, pipe: bool = False
    ) -> subprocess.Popen[bytes]:
        with self._logs[name].open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipe else subprocess.DEVNULL,
                stderr=log,
                env=os.environ,
            )
        self._processes[name] = process
        return process

    def _wait(
        self, found: Callable[[], T | None], otherwise: str, timeout_s: float = START_TIMEOUT_S
    ) -> T:
        deadline_s = time.monotonic() + timeout_s
        while (value := found()) is None:
            self._check()
            if time.monotonic() > deadline_s:
                raise ConfigError(f"{otherwise} within {timeout_s:g} s")
            time.sleep(0.02)
        return value

    def _settle(self, until_ms: float, until: Callable[[], bool] = lambda: False) -> None:
        while 1000 * time.monotonic() < until_ms and not until():
            time.sleep(0.02)

    def _check(self) -> None:
        for name, process in self._processes.items():
            if process.poll() not in (None, 0):
                lines = self._log(name).strip().splitlines()
                reason = lines[-1] if lines else f"exit status {process.returncode}"
                raise ConfigError(f"the {name} failed: {reason}")

    def _log(self, name: str) -> str:
        return self._logs[name].read_text(errors="replace")

    def _end(self) -> None:
        """Let the sender end by itself (its source has), then the receiver; check both."""
        for name in ("sender", "receiver"):
            process = self._processes[name]
            if name == "receiver":
                process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                raise ConfigError(f"the {name} did not end") from None
        self._check()

    def _kill(self) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
