"""The programs as their users start them: real processes, watched through their log."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

REPOSITORY = Path(__file__).parents[1]
PATIENCE_S = 40.0
"""For anything to happen on two cores that others use too; tests end long before."""


def wait_until(holds: Callable[[], bool], what: str, *, timeout_s: float = PATIENCE_S) -> None:
    """Poll until something holds; fails with `what` after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.02)


class Program:
    """A running program; leaving the block kills it if it is still there."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        log: Path,
        *,
        stdout: int = subprocess.DEVNULL,
        preexec: Callable[[], None] | None = None,
    ) -> None:
        """log: file that takes standard error, appended to. preexec: see `subprocess.Popen`."""
        self._log = log
        self._log_start = log.stat().st_size if log.exists() else 0
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=REPOSITORY,
                env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=errors,
                preexec_fn=preexec,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    @property
    def log(self) -> str:
        """What this run wrote to standard error so far."""
        return self._log.read_bytes()[self._log_start :].decode(errors="replace")

    def wait_for(self, text: str, *, count: int = 1, timeout_s: float = PATIENCE_S) -> None:
        """Wait until the log holds `text` so often; fails at once when the program ends first."""

        def said() -> bool:
            is_over = self.process.poll() is not None
            enough = self.log.count(text) >= count
            assert enough or not is_over, f"ended without {text!r}: {self.log}"
            return enough

        wait_until(said, f"{text!r} in the log", timeout_s=timeout_s)

    def end(self, how: signal.Signals | None = signal.SIGINT) -> int:
        """Send a signal (or none, to let it end by itself) and return the exit status."""
        if how is not None:
            self.process.send_signal(how)
        return self.process.wait(PATIENCE_S)


class Receiver(Program):
    """`edvr-receive`, listening on a free port."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        listen: str = "127.0.0.1:0",
        stdout: int = subprocess.DEVNULL,
        preexec: Callable[[], None] | None = None,
        module: str = "decoder.cli",
    ) -> None:
        """module: what runs it, with the arguments of `edvr-receive`."""
        self.stats_path = folder / "stats.jsonl"
        super().__init__(
            module,
            ["--listen", listen, "--stats", str(self.stats_path), *arguments],
            folder / "receiver.log",
            stdout=stdout,
            preexec=preexec,
        )

    @property
    def url(self) -> str:
        """Where to publish; waits until it listens."""
        self.wait_for("listening for publishers at ")
        found = re.search(r"listening for publishers at (\S+)", self.log)
        assert found is not None
        return found[1]

    @property
    def address(self) -> str:
        """HOST:PORT of the endpoint."""
        return self.url.removeprefix("http://").partition("/")[0]

    def stats(self) -> list[dict[str, Any]]:  # Any: whatever JSON holds
        """All statistics written so far."""
        if not self.stats_path.exists():
            return []
        lines = self.stats_path.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def wait_for_frames(self, count: int) -> None:
        """Wait until that many frames were restored, as the statistics tell."""

        def restored() -> bool:
            assert self.process.poll() is None, self.log
            return any(line["frames_restored"] >= count for line in self.stats()[-1:])

        wait_until(restored, f"{count} frames restored")


class Sender(Program):
    """`edvr-send`."""

    def __init__(self, folder: Path, source: str, url: str, *arguments: str) -> None:
        super().__init__("encoder.cli", [source, "--whip", url, *arguments], folder / "sender.log")
