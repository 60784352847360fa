"""A stream over an emulated link: real processes, and what passed between them.

The sender is `edvr-send`; the other end is the product's receiving peer (`link_receiver`). Needs
root, as every emulated link.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any

from benchmarks.link import EmulatedLink, LinkConfig, PathConfig, PathInterval, RtpStream
from benchmarks.link_receiver import SeenFrame
from stream.errors import EdvrError

PORT = 8080
END_S = 30.0
"""For programs to end on a busy machine."""

LIMIT_S = 240.0
"""A run that takes longer is stuck: its programs are ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One run: the pictures that were decoded, and what passed on the link.

    trace_ms: when the link's rate trace began, on the clock of `forward`. streams: forward.
    """

    frames: tuple[SeenFrame, ...]
    forward: tuple[PathInterval, ...]
    backward: tuple[PathInterval, ...]
    streams: tuple[RtpStream, ...]
    trace_ms: float
    codec: str | None


def send_over(link: LinkConfig, sender: Sequence[str]) -> Passage:
    """Run `edvr-send` with these arguments (without --whip) over a link until it ends.

    Rates and losses begin when it publishes: a session that does not come up is not measured here.
    Raises EdvrError when a program does not do its part, ConfigError when no link can be made.
    """
    with EmulatedLink(_only_delay(link)) as emulated, ExitStack() as stack:
        receiver = _start(
            emulated.far.command(
                [sys.executable, "-m", "benchmarks.link_receiver", f"0.0.0.0:{PORT}"]
            ),
            stack,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if _line(receiver.stdout) != "listening":
            raise EdvrError("the measuring receiver did not start")
        url = f"http://{emulated.far.address}:{PORT}/whip"
        sending = _start(
            emulated.near.command([sys.executable, "-m", "encoder.cli", *sender, "--whip", url]),
            stack,
            stderr=subprocess.PIPE,
        )
        while "publishing to" not in (line := _line(sending.stderr)):
            if not line and sending.poll() is not None:
                raise EdvrError("the sender did not publish")
        trace_ms = emulated.configure(link)
        log = sending.stderr.read() if sending.stderr is not None else ""
        if sending.wait(END_S) != 0:
            raise EdvrError(f"the sender failed: {log.strip().splitlines()[-1]}")
        told, _ = receiver.communicate("", timeout=END_S)
        record = emulated.record()
    content: dict[str, Any] = json.loads(told.splitlines()[-1])
    return Passage(
        frames=tuple(
            SeenFrame(pts=pts, at_ms=at_ms, is_whole=is_whole)
            for pts, at_ms, is_whole in content["frames"]
        ),
        forward=record.forward,
        backward=record.backward,
        streams=record.streams,
        trace_ms=trace_ms,
        codec=content["codec"],
    )


def _only_delay(link: LinkConfig) -> LinkConfig:
    ways = (link.forward, link.backward)
    there, back = (PathConfig(delay_ms=way.delay_ms, jitter_ms=way.jitter_ms) for way in ways)
    return LinkConfig(forward=there, backward=back)


def _start(command: list[str], stack: ExitStack, **pipes: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(command, text=True, **pipes)  # type: ignore[call-overload]  # pipes
    limit = threading.Timer(LIMIT_S, process.kill)
    limit.daemon = True
    limit.start()

    def end() -> None:
        limit.cancel()
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()

    stack.callback(end)
    return process  # type: ignore[no-any-return]  # of the untyped call above


def _line(pipe: IO[str] | None) -> str:
    assert pipe is not None
    return pipe.readline().strip()
