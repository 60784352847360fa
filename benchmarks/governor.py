"""A live run beside a process that takes a core: which tiers restored, how late, what was lost.

Receiver and sender run as users start them, on this machine. Alone at first, then beside neighbours
that do nothing but compute, each bound to a core of its own, then alone again.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from decoder.load import DEFAULT_INTERVAL_MS
from stream.errors import ConfigError
from stream.frame import Size

SPARE_MS = 80.0
"""What the slowest twentieth of the frames may take beyond the frames that are waited for."""

START_S, END_S = 60.0, 30.0
"""To open networks and connect; to say the next line or to finish files."""

_BUSY = "import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"

Line = dict[str, Any]  # Any: what `benchmarks.watched_receiver` prints


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernorRun:
    """What to run.

    alone_s: before the neighbours come and after they have gone; beside_s: with them.
    neighbours: 0 for none at all. receiver: more arguments of `edvr-receive`.
    """

    clip: str
    lr_size: Size
    size: Size
    bitrate: str = "150k"
    alone_s: float = 10.0
    beside_s: float = 60.0
    neighbours: int = 1
    lookahead: int = 1
    receiver: tuple[str, ...] = ("--output", "null:")

    @property
    def seconds(self) -> float:
        """From the first frame to the last."""
        return self.beside_s + 2 * self.alone_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What became of the frames of a part of a run.

    cores: processor time a second of the receiver. cpu_ms: of a frame, by thread.
    """

    seconds: float
    frames: int
    dropped: int
    by_tier: dict[str, int]
    p50_ms: float
    p95_ms: float
    cores: float
    cpu_ms: dict[str, float]


async def watch(run: GovernorRun) -> list[Line]:
    """What the receiver said from its first frame on; at_s counts from there.

    Raises ConfigError when a process fails.
    """
    async with _receiver(run) as receiver:
        async with asyncio.timeout(START_S):
            while (line := await _next(receiver))["url"] is None:
                pass
        async with _sender(run, line["url"]):
            async with asyncio.timeout(START_S):
                while not (line := await _next(receiver)).get("frames_restored"):
                    pass
            lines, begun_s = [line], line["at_s"]
            async with asyncio.TaskGroup() as tasks:
                neighbours = tasks.create_task(_neighbours(run))
                while line["at_s"] - begun_s < run.seconds:
                    line = await _next(receiver)
                    lines.append(line)
                neighbours.cancel()
    return [{**each, "at_s": each["at_s"] - begun_s} for each in lines]


def part(lines: Sequence[Line], begin_s: float, end_s: float) -> Part:
    """The figures of what was said between two times. Raises ConfigError when nothing was."""
    inside = [line for line in lines if begin_s <= line["at_s"] <= end_s]
    if len(inside) < 2:
        raise ConfigError(f"no frame came out between {begin_s:g} and {end_s:g} s")
    first, last = inside[0], inside[-1]
    took_ms = [ms for line in inside[1:] for ms in line.get("total_ms", ())]
    frames = last["frames_restored"] - first.get("frames_restored", 0)
    if not frames or not took_ms:
        raise ConfigError(f"no frame came out between {begin_s:g} and {end_s:g} s")
    seconds = last["at_s"] - first["at_s"]
    by_tier: Counter[str] = Counter(last["frames_by_tier"])
    by_tier.subtract(first.get("frames_by_tier", {}))
    cpu_s = {name: used - first["cpu_s"].get(name, 0.0) for name, used in last["cpu_s"].items()}
    return Part(
        seconds=round(seconds, 1),
        frames=frames,
        dropped=last["frames_dropped"] - first.get("frames_dropped", 0),
        by_tier={name: count for name, count in by_tier.items() if count},
        p50_ms=round(float(np.percentile(took_ms, 50)), 1),
        p95_ms=round(float(np.percentile(took_ms, 95)), 1),
        cores=round((last["process_cpu_s"] - first["process_cpu_s"]) / seconds, 2),
        cpu_ms={
            name: round(1000 * used / frames, 2)
            for name, used in sorted(cpu_s.items(), key=lambda item: -item[1])
            if used > 0
        },
    )


def limit_ms(lookahead: int) -> float:
    """What the slowest twentieth may take: the frames that are waited for, and `SPARE_MS`."""
    return lookahead * DEFAULT_INTERVAL_MS + SPARE_MS


async def _next(receiver: Process) -> Line:
    assert receiver.stdout is not None  # a pipe was asked for; tells mypy
    async with asyncio.timeout(END_S):
        said = await receiver.stdout.readline()
    if not said:
        raise ConfigError("the receiver has ended; its message is above")
    line: Line = json.loads(said)
    return line


@asynccontextmanager
async def _receiver(run: GovernorRun) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.watched_receiver", "--listen", "127.0.0.1:0"),
        *("--size", str(run.size), "--lookahead", str(run.lookahead), *run.receiver),
        stdin=PIPE,
        stdout=PIPE,
        limit=1 << 20,
    )
    try:
        yield process
        if process.stdin is not None:
            process.stdin.close()
        async with asyncio.timeout(END_S):
            await process.communicate()  # it finishes its files
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def _sender(run: GovernorRun, url: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "encoder.cli", run.clip, "--loop", "--whip", url, "--no-audio"),
        *("--size", str(run.lr_size), "--bitrate", run.bitrate, "--codec", "h264"),
        *("--duration", str(run.seconds + START_S)),
        stdin=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def _neighbours(run: GovernorRun) -> None:
    """Come after `alone_s`, one on each core, and stay for `beside_s`; killed when cancelled."""
    await asyncio.sleep(run.alone_s)
    code = _BUSY.format(seconds=run.beside_s)
    processes = []
    try:
        for core in sorted(os.sched_getaffinity(0))[: run.neighbours]:
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
            processes.append(process)
            os.sched_setaffinity(process.pid, {core})
        for process in processes:
            await process.wait()
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()


def report(run: GovernorRun, lines: Sequence[Line]) -> dict[str, Any]:
    """For JSON: the run, its parts, and every half second what the plot shows. Any: for JSON."""
    end_s = run.alone_s + run.beside_s
    spans = {"alone": (0.0, run.alone_s), "beside": (run.alone_s, end_s)}
    spans["alone again"] = (end_s, run.seconds)
    parts = {name: part(lines, *span) for name, span in spans.items() if span[1] > span[0]}
    beside = parts.get("beside") or next(iter(parts.values()))
    limit = limit_ms(run.lookahead)
    return {
        "clip": run.clip.rpartition("/")[2],
        "lr_size": str(run.lr_size),
        "size": str(run.size),
        "receiver": " ".join(run.receiver),
        "neighbours": run.neighbours,
        "beside_s": [run.alone_s, end_s],
        "model": lines[-1]["model"],
        "backend": lines[-1]["backend"],
        "limit_ms": limit,
        "holds": beside.dropped == 0 and beside.p95_ms <= limit,
        "parts": {
            name: {field: getattr(each, field) for field in Part.__dataclass_fields__}
            for name, each in parts.items()
        },
        "moments": list(_moments(lines)),
    }


def report_lines(figures: dict[str, Any]) -> list[str]:
    """For people."""
    lines = [f"{figures['lr_size']} to {figures['size']} by {figures['model']}"]
    for name, each in figures["parts"].items():
        tiers = ", ".join(f"{count} {tier}" for tier, count in each["by_tier"].items())
        lines.append(
            f"{name:>12}: {each['frames']} frames ({tiers}), {each['dropped']} dropped,"
            f" p50 {each['p50_ms']:g} ms, p95 {each['p95_ms']:g} ms, {each['cores']:g} cores"
        )
        threads = ", ".join(f"{thread} {ms:g}" for thread, ms in each["cpu_ms"].items())
        lines.append(f"{'':>14}processor ms a frame: {threads}")
    verdict = "holds" if figures["holds"] else "does not hold"
    lines.append(f"no frame dropped and p95 within {figures['limit_ms']:g} ms: {verdict}")
    return lines


def _moments(lines: Sequence[Line]) -> Iterator[dict[str, Any]]:
    for pair in pairwise(lines):
        begin_s, end_s = pair[0]["at_s"], pair[1]["at_s"]
        try:
            each = part(pair, begin_s, end_s)
        except ConfigError:  # nothing came out: a gap in the plot
            continue
        row = {"at_s": round(begin_s, 2), "p50_ms": each.p50_ms, "p95_ms": each.p95_ms}
        yield row | {"dropped": each.dropped, "by_tier": each.by_tier}
