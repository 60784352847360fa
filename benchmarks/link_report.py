"""What loss and a changing rate do to a stream: real processes over an emulated link.

The sender is `edvr-send`; the other end is the product's receiving peer (`link_receiver`). Rates
are of IP packets. Needs root, as every emulated link.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Any

from benchmarks.link import (
    EmulatedLink,
    LinkConfig,
    PathConfig,
    PathInterval,
    RatePoint,
    RateTrace,
    RtpStream,
)
from benchmarks.link_receiver import SeenFrame
from stream.errors import EdvrError
from stream.frame import CLOCK_HZ

PORT = 8080
ONE_WAY_MS = 25.0
LOSS_RATIOS = (0.0, 0.01, 0.03, 0.05, 0.1)
HIGH_BPS = 300_000
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRow:
    """whole_percent: pictures that came undamaged, of those sent.

    frames: sent, each counted once; not_sent: those of the source that the sender left out, since
    its machine was too slow. longest_freeze_ms: between two whole pictures, beyond a frame
    interval. sent_bytes: of RTP on the link, forward; overhead_percent: what of it is not the first
    passage of a video packet (retransmissions, probes), in shares of the rest.
    """

    loss_percent: float
    codec: str | None
    frames: int
    not_sent: int
    whole_percent: float
    longest_freeze_ms: float
    sent_bytes: int
    overhead_percent: float


def measure_loss(
    loss_ratio: float,
    sender: Sequence[str],
    *,
    delay_ms: float,
    frame_rate: float,
    seed: int = 1,
) -> LossRow:
    """Losses in both directions; delay_ms in each."""
    path = PathConfig(delay_ms=delay_ms, loss_ratio=loss_ratio, seed=seed)
    back = PathConfig(delay_ms=delay_ms, loss_ratio=loss_ratio, seed=seed + 1000)
    passage = send_over(LinkConfig(forward=path, backward=back), sender)
    return loss_row(passage, loss_ratio, frame_rate=frame_rate)


def loss_row(passage: Passage, loss_ratio: float, *, frame_rate: float) -> LossRow:
    """The figures of one run without sound."""
    frames = passage.frames
    if not frames or not passage.streams:
        raise EdvrError("not one picture came")
    video = max(passage.streams, key=lambda stream: stream.pictures)
    captured = round((frames[-1].pts - frames[0].pts) / CLOCK_HZ * frame_rate) + 1
    whole = [frame for frame in frames if frame.is_whole]
    freezes = [
        (later.at_ms - earlier.at_ms) - 1000 * (1 / frame_rate)
        for earlier, later in pairwise(whole)
    ]
    sent_bytes = sum(stream.size_bytes for stream in passage.streams)
    return LossRow(
        loss_percent=100 * loss_ratio,
        codec=passage.codec,
        frames=video.pictures,
        not_sent=max(0, captured - video.pictures),
        whole_percent=round(100 * len(whole) / video.pictures, 2),
        longest_freeze_ms=round(max(freezes, default=0.0)),
        sent_bytes=sent_bytes,
        overhead_percent=round(100 * (sent_bytes / video.size_bytes - 1), 1),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """A link that falls to a lower rate and recovers.

    before_kbps, low_kbps, after_kbps: mean rate sent in the last 5 s of each part. yielded_s:
    how long after the drop a second began in which no more was sent than the link carries; None if
    none did. under_s: the same of the last second in which more was sent, 0 if in none.
    recovered_s: how long after the recovery a second began in which 90 % of before_kbps was sent;
    None if none did. longest_queue_ms: on the link.
    """

    codec: str | None
    high_kbps: float
    low_kbps_link: float
    before_kbps: float
    low_kbps: float
    after_kbps: float
    yielded_s: float | None
    under_s: float
    recovered_s: float | None
    longest_queue_ms: float


def measure_step(
    sender: Sequence[str], *, high_bps: int, low_bps: int, part_s: float, delay_ms: float
) -> StepRow:
    """Three parts of `part_s`: high, low, high."""
    rate = RateTrace(
        points=(
            RatePoint(at_ms=0, rate_bps=high_bps),
            RatePoint(at_ms=1000 * part_s, rate_bps=low_bps),
            RatePoint(at_ms=2000 * part_s, rate_bps=high_bps),
        )
    )
    path = PathConfig(rate=rate, delay_ms=delay_ms, queue_ms=1000)
    back = PathConfig(delay_ms=delay_ms)
    arguments = [*sender, "--duration", f"{3 * part_s:g}"]
    passage = send_over(LinkConfig(forward=path, backward=back), arguments)
    return step_row(passage, high_bps=high_bps, low_bps=low_bps, part_s=part_s)


def step_row(passage: Passage, *, high_bps: int, low_bps: int, part_s: float) -> StepRow:
    """The figures of one run."""
    start_s = passage.trace_ms / 1000

    def kbps(from_s: float, to_s: float) -> float:
        inside = [
            interval.sent_bytes
            for interval in passage.forward
            if from_s <= interval.at_ms / 1000 - start_s < to_s
        ]
        return sum(inside) * 8 / 1000 / (to_s - from_s)

    tail_s = min(5.0, part_s / 2)
    before, low, after = (
        kbps((part + 1) * part_s - tail_s - (part == 2), (part + 1) * part_s - (part == 2))
        for part in range(3)
    )
    steps = [index / 10 for index in range(int(10 * (part_s - 1)))]
    over = [at_s for at_s in steps if kbps(part_s + at_s, part_s + at_s + 1) > low_bps / 1000]
    under = [at_s for at_s in steps if at_s not in over]
    back = [
        at_s for at_s in steps if kbps(2 * part_s + at_s, 2 * part_s + at_s + 1) >= 0.9 * before
    ]
    return StepRow(
        codec=passage.codec,
        high_kbps=high_bps / 1000,
        low_kbps_link=low_bps / 1000,
        before_kbps=round(before, 1),
        low_kbps=round(low, 1),
        after_kbps=round(after, 1),
        yielded_s=min(under, default=None),
        under_s=max(over, default=0.0),
        recovered_s=min(back, default=None),
        longest_queue_ms=round(max(interval.wait_ms for interval in passage.forward)),
    )


def run_link_report(
    sender: Sequence[str],
    *,
    codecs: Sequence[str],
    bitrate: str,
    frame_rate: float,
    seconds: float,
) -> dict[str, list[LossRow | StepRow]]:
    """Both tables, row by row. sender: arguments of `edvr-send` but for rate, codec and length."""
    loss: list[LossRow | StepRow] = []
    step: list[LossRow | StepRow] = []
    for codec in codecs:
        common = [*sender, "--codec", codec]
        fixed = [*common, "--bitrate", bitrate, "--duration", f"{seconds:g}"]
        loss += [
            measure_loss(loss_ratio, fixed, delay_ms=ONE_WAY_MS, frame_rate=frame_rate)
            for loss_ratio in LOSS_RATIOS
        ]
        step.append(
            measure_step(
                [*common, "--bitrate", "auto"],
                high_bps=HIGH_BPS,
                low_bps=HIGH_BPS // 2,
                part_s=seconds,
                delay_ms=ONE_WAY_MS,
            )
        )
    return {"loss": loss, "step": step}


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
