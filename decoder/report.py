"""What the receiver tells: a status line, one JSON object a second, and a closing summary."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from decoder.pipeline import Pipeline
from stream.errors import ConfigError
from stream.peer import PeerStats, ReceivingPeer


class _Wire:
    """Bytes of one stream over all its sessions, and since the last report."""

    def __init__(self) -> None:
        self.before = 0
        self.now = 0
        self.reported = 0
        self.first_ms: float | None = None
        self.last_ms: float | None = None
        self.lost_packets = 0
        self.lost_frames = 0


class Reporter:
    """Collects per stream; writes JSON lines to `stats` and a status line to a terminal."""

    def __init__(self, stats: Path | None) -> None:
        """Raises ConfigError when `stats` cannot be opened."""
        self._wires: dict[str, _Wire] = {}
        self._file: TextIO | None = None
        self._has_line = False
        if stats is not None:
            try:
                self._file = stats.open("a", encoding="utf-8")
            except OSError as error:
                raise ConfigError(f"--stats {stats}: {error.strerror}") from error

    def start_session(self, stream: str, previous: ReceivingPeer | None) -> None:
        """A stream has a new publisher; what the previous one sent stays counted."""
        wire = self._wires.setdefault(stream, _Wire())
        if previous is not None:
            stats = previous.stats()
            wire.before += stats.wire_bytes_received
            wire.lost_packets += stats.packets_lost
            wire.lost_frames += stats.frames_lost
            wire.now = wire.before

    def update(self, name: str, pipeline: Pipeline, peer: PeerStats, *, now_ms: float) -> None:
        """Write one object and renew the status line."""
        wire, counts = self._wires[name], pipeline.counts()
        wire.now = wire.before + peer.wire_bytes_received
        elapsed_ms = 1000.0 if wire.last_ms is None else max(1.0, now_ms - wire.last_ms)
        wire_bps = round(8000 * (wire.now - wire.reported) / elapsed_ms)
        wire.reported, wire.last_ms = wire.now, now_ms
        wire.first_ms = now_ms if wire.first_ms is None else wire.first_ms
        latency = {
            stage: {key: round(value, 1) for key, value in values.summary().items()}
            for stage, values in pipeline.stage_percentiles().items()
            if values.count
        }
        record = {
            "time_ms": round(now_ms),
            "stream": name,
            "codec": peer.codec,
            "wire_bps": wire_bps,
            "wire_bytes": wire.now,
            "frames_in": counts.frames_in,
            "frames_restored": counts.frames_restored,
            "frames_dropped": counts.frames_dropped,
            "frames_lost": wire.lost_frames + peer.frames_lost,
            "packets_lost": wire.lost_packets + peer.packets_lost,
            "peer_errors": peer.peer_errors,
            "model": counts.model,
            "backend": counts.backend,
            "lr_size": str(counts.lr_size) if counts.lr_size else None,
            "size": str(counts.hr_size) if counts.hr_size else None,
            "latency_ms": latency,
            "outputs": [
                {
                    "name": sink.name,
                    "state": sink.state.value,
                    "frames_written": sink.frames_written,
                    "frames_dropped": sink.frames_dropped,
                    "bytes_written": sink.bytes_written,
                }
                for sink in counts.sinks
            ],
        }
        if self._file is not None:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
        if sys.stderr.isatty():
            total = latency.get("total", {}).get("p95", 0.0)
            sys.stderr.write(
                f"\r\x1b[K{name}: {peer.codec or '-'} {wire_bps / 1000:.0f} kb/s on the wire, "
                f"{counts.lr_size or '-'} to {counts.hr_size or '-'} by {counts.model}, "
                f"in {counts.frames_in}, restored {counts.frames_restored}, dropped "
                f"{counts.frames_dropped}, latency p95 {total:.0f} ms"
            )
            sys.stderr.flush()
            self._has_line = True

    def close(self, pipelines: Mapping[str, Pipeline], out: TextIO) -> None:
        """Write the closing summary."""
        if self._has_line:
            out.write("\n")
        for name, pipeline in pipelines.items():
            out.write("\n".join(self._summary(name, pipeline)) + "\n")
        out.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _summary(self, name: str, pipeline: Pipeline) -> list[str]:
        wire, counts = self._wires[name], pipeline.counts()
        seconds = 0.0
        if wire.first_ms is not None and wire.last_ms is not None:
            seconds = (wire.last_ms - wire.first_ms) / 1000
        rate = f"{8 * wire.now / seconds / 1000:.0f} kb/s" if seconds >= 1 else "-"
        lines = [
            f"stream {name}: {wire.now / 1000:.0f} kB on the wire in {seconds:.0f} s, {rate}",
            f"  {counts.lr_size or '-'} to {counts.hr_size or '-'} by {counts.model}"
            f" on {counts.backend or 'no network'}",
            f"  frames in {counts.frames_in}, restored {counts.frames_restored}, dropped "
            f"{counts.frames_dropped} (restoration behind), lost {wire.lost_frames} on the way",
        ]
        for stage, values in pipeline.stage_percentiles().items():
            if values.count:
                figures = ", ".join(f"{k} {v:.1f}" for k, v in values.summary().items())
                lines.append(f"  {stage:>8} ms: {figures}")
        for sink in counts.sinks:
            reason = f" ({sink.reason})" if sink.reason else ""
            lines.append(
                f"  {sink.name}: {sink.frames_written} frames, {sink.frames_dropped} dropped, "
                f"{sink.bytes_written / 1000:.0f} kB, {sink.state.value}{reason}"
            )
        return lines
