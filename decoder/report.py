"""What the receiver tells: a status line, one JSON object a second, and a closing summary."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

from decoder.pipeline_counts import PipelineCounts
from decoder.viewing.view import ViewCounts
from decoder.wire_meter import WireMeter, WireTotals
from stream.errors import ConfigError
from stream.log import FIGURES, logs_json
from stream.peer import PeerStats
from stream.stats import Percentiles

_log = logging.getLogger(__name__)

Stages = Mapping[str, Percentiles]


class Reporter:
    """Collects per stream; writes JSON lines to `stats`, a status line to `out` if a terminal."""

    def __init__(
        self, stats: Path | None, out: TextIO, *, direct_ratio: float | None = None
    ) -> None:
        """direct_ratio: how many times as many bits direct HD was measured to take.

        Raises ConfigError when `stats` cannot be opened.
        """
        self._direct_ratio = direct_ratio
        self._out = out
        self._meters: dict[str, WireMeter] = {}
        self.records: dict[str, Mapping[str, object]] = {}
        """The newest object of every stream, as it is written to `stats`."""
        self._file: TextIO | None = None
        self._has_line = False
        if stats is not None:
            try:
                self._file = stats.open("a", encoding="utf-8")
            except OSError as error:
                raise ConfigError(f"--stats {stats}: {error.strerror}") from error

    def start_session(self, stream: str, previous: PeerStats | None, *, now_ms: float) -> None:
        """A stream has a new publisher; what the previous one sent stays counted."""
        if stream not in self._meters:
            self._meters[stream] = WireMeter(now_ms=now_ms)
        if previous is not None:
            self._meters[stream].end_session(previous)

    def update(
        self,
        stream: str,
        peer: PeerStats,
        counts: PipelineCounts,
        stages: Stages,
        *,
        viewers: Mapping[str, ViewCounts] = MappingProxyType({}),
        now_ms: float,
    ) -> None:
        """Write one object and renew the status line."""
        wire = self._meters[stream].update(peer, now_ms=now_ms)
        latency = {
            stage: {key: round(value, 1) for key, value in values.summary().items()}
            for stage, values in stages.items()
            if values.count
        }
        record = {"time_ms": round(now_ms), "stream": stream, "codec": peer.codec}
        record["weight_bytes"] = peer.weight_bytes_received
        record |= _wire_fields(wire) | _frame_fields(counts)
        record |= {"latency_ms": latency, "outputs": _output_fields(counts)}
        ratio = self._direct_ratio
        record["direct_bps"] = None if ratio is None else round(ratio * wire.rate_bps)
        record["viewers"] = {view: asdict(each) for view, each in viewers.items()}
        self.records[stream] = record
        self._write_object(record)
        if self._out.isatty() and not logs_json():
            total_ms = latency.get("total", {}).get("p95", 0.0)
            self._out.write(
                f"\r\x1b[K{stream}: {peer.codec or '-'} {wire.rate_bps / 1000:.0f} kb/s on the "
                f"wire, {counts.lr_size or '-'} to {counts.hr_size or '-'} by {counts.model}, "
                f"in {counts.frames_in}, restored {counts.frames_restored}, dropped "
                f"{counts.frames_dropped}, latency p95 {total_ms:.0f} ms"
            )
            self._out.flush()
            self._has_line = True

    def summarise(self, stream: str, counts: PipelineCounts, stages: Stages) -> None:
        """Write the closing summary of a stream."""
        if self._has_line:
            self._out.write("\n")
            self._has_line = False
        lines = summary(stream, self._meters[stream].totals, counts, stages)
        if logs_json():
            figures = self.records.get(stream)
            _log.info("%s", "; ".join(map(str.strip, lines)), extra={FIGURES: figures})
            return
        self._out.write("\n".join(lines) + "\n")
        self._out.flush()

    def forget(self, stream: str) -> None:
        """The stream is over; one that comes later under its name starts at zero."""
        self._meters.pop(stream, None)
        self.records.pop(stream, None)

    def close(self) -> None:
        """Close the file; callable twice."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                _log.warning("statistics are not complete: %s", error.strerror)

    def _write_object(self, record: Mapping[str, object]) -> None:
        if self._file is None:
            return
        try:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
        except OSError as error:  # a full disk must not end the stream
            _log.warning("no more statistics are written: %s", error.strerror)
            self.close()


def summary(
    stream: str, wire: WireTotals, counts: PipelineCounts, stages: Stages
) -> tuple[str, ...]:
    """Lines that say what came, what became of every frame, how long it took, what went out."""
    rate = "" if wire.mean_bps is None else f", {wire.mean_bps / 1000:.0f} kb/s"
    unused = {
        "restoration behind": counts.frames_dropped,
        "not restorable": counts.frames_unusable,
        "lost on the way": wire.frames_lost,
    }
    reasons = ", ".join(f"{count} {why}" for why, count in unused.items())
    by_lanczos = f" ({counts.frames_failed} only resized)" if counts.frames_failed else ""
    lines = [
        f"stream {stream}: {wire.wire_bytes / 1000:.0f} kB on the wire in "
        f"{wire.active_ms / 1000:.0f} s{rate}",
        f"  {counts.lr_size or '-'} to {counts.hr_size or '-'} by {counts.model}"
        f" on {counts.backend or 'no network'}"
        + (f" with {counts.weights}" if counts.weights else ""),
        f"  frames in {counts.frames_in}, restored {counts.frames_restored}{by_lanczos}, "
        f"dropped {sum(unused.values())}: {reasons}",
    ]
    for stage, values in stages.items():
        if values.count:
            figures = ", ".join(f"{key} {value:.1f}" for key, value in values.summary().items())
            lines.append(f"  {stage:>8} ms: {figures}")
    for sink in counts.sinks:
        reason = f" ({sink.reason})" if sink.reason else ""
        lines.append(
            f"  {sink.name}: {sink.frames_written} frames, {sink.frames_dropped} dropped, "
            f"{sink.bytes_written / 1000:.0f} kB, {sink.state.value}{reason}"
        )
    return tuple(lines)


def _wire_fields(wire: WireTotals) -> dict[str, object]:
    return {
        "wire_bps": wire.rate_bps,
        "wire_bytes": wire.wire_bytes,
        "packets_lost": wire.packets_lost,
        "frames_lost": wire.frames_lost,
        "peer_errors": wire.peer_errors,
    }


def _frame_fields(counts: PipelineCounts) -> dict[str, object]:
    return {
        "frames_in": counts.frames_in,
        "frames_restored": counts.frames_restored,
        "frames_failed": counts.frames_failed,
        "frames_held": counts.frames_held,
        "frames_dropped": counts.frames_dropped,
        "frames_unusable": counts.frames_unusable,
        "frames_by_tier": dict(counts.frames_by_tier),
        "model": counts.model,
        "backend": counts.backend,
        "weights": counts.weights,
        "lr_size": None if counts.lr_size is None else str(counts.lr_size),
        "size": None if counts.hr_size is None else str(counts.hr_size),
    }


def _output_fields(counts: PipelineCounts) -> list[dict[str, object]]:
    return [
        {
            "name": sink.name,
            "state": sink.state.value,
            "frames_written": sink.frames_written,
            "frames_dropped": sink.frames_dropped,
            "bytes_written": sink.bytes_written,
        }
        for sink in counts.sinks
    ]
