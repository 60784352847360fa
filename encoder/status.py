"""Once a second, what is being sent: one line that renews itself on a terminal."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Self, TextIO

from encoder.adaptation import AdaptationStats
from encoder.live_encoder import EncodeCounts
from stream.log import FIGURES, logs_json
from stream.peer import PeerStats

_log = logging.getLogger(__name__)

INTERVAL_MS = 1000.0


class StatusLine:
    """Writes to `out`; on a terminal the line is written over, else one line a second."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last_ms: float | None = None
        self._last_counts = EncodeCounts()
        self._last_wire_bytes = 0
        self._has_line = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._has_line:
            self._out.write("\n")

    def update(
        self,
        counts: EncodeCounts,
        stats: PeerStats,
        *,
        frames_dropped: int,
        now_ms: float,
        adaptation: AdaptationStats | None = None,
    ) -> None:
        """Write the line if a second has passed. frames_dropped: captured but never encoded."""
        if self._last_ms is None:
            self._remember(counts, stats, now_ms)
            return
        elapsed_ms = now_ms - self._last_ms
        if elapsed_ms < INTERVAL_MS:
            return
        frames = counts.frames - self._last_counts.frames
        video_kbps = 8 * (counts.coded_bytes - self._last_counts.coded_bytes) / elapsed_ms
        wire_kbps = 8 * (stats.wire_bytes_sent - self._last_wire_bytes) / elapsed_ms
        line = (
            f"sending {stats.codec or '?'} {1000 * frames / elapsed_ms:.1f} fps, "
            f"video {video_kbps:.0f} kb/s of {counts.target_bps / 1000:.0f}, "
            f"wire {wire_kbps:.0f} kb/s, keyframes {counts.keyframes}, "
            f"dropped {frames_dropped}, lost packets {stats.packets_lost}"
        )
        if stats.encode_errors:
            line += f", not encoded {stats.encode_errors}"
        if stats.rtt_ms is not None:
            line += f", rtt {stats.rtt_ms:.0f} ms"
        if adaptation is not None:
            line += f", {adaptation.line()}"
        if logs_json():
            figures: dict[str, object] = {
                "codec": stats.codec,
                "frames_per_s": round(1000 * frames / elapsed_ms, 1),
                "video_bps": round(1000 * video_kbps),
                "target_bps": counts.target_bps,
                "wire_bps": round(1000 * wire_kbps),
                "keyframes": counts.keyframes,
                "frames_dropped": frames_dropped,
                "packets_lost": stats.packets_lost,
                "encode_errors": stats.encode_errors,
                "rtt_ms": stats.rtt_ms,
            }
            if adaptation is not None:
                figures["adaptation"] = adaptation.figures()
            _log.info("%s", line, extra={FIGURES: figures})
            self._remember(counts, stats, now_ms)
            return
        self._has_line = self._out.isatty()
        self._out.write(f"\r\x1b[K{line}" if self._has_line else f"{line}\n")
        self._out.flush()
        self._remember(counts, stats, now_ms)

    def _remember(self, counts: EncodeCounts, stats: PeerStats, now_ms: float) -> None:
        self._last_ms, self._last_counts = now_ms, counts
        self._last_wire_bytes = stats.wire_bytes_sent
