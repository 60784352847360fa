"""Once a second, what is being sent: one line that renews itself on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self, TextIO

from encoder.capture_thread import CaptureThread
from encoder.live_encoder import LiveEncoder
from stream.peer import PeerStats

INTERVAL_MS = 1000.0


class StatusLine:
    """Writes to `out`; on a terminal the line is written over, else one line a second."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last_ms: float | None = None
        self._last = (0, 0, 0, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._out.isatty():
            self._out.write("\n")

    def update(
        self, encoder: LiveEncoder, stats: PeerStats, capture: CaptureThread, *, now_ms: float
    ) -> None:
        """Write the line if a second has passed."""
        frames, coded_bytes, keyframes = encoder.counts
        current = (frames, coded_bytes, stats.wire_bytes_sent, keyframes)
        if self._last_ms is None:
            self._last_ms, self._last = now_ms, current
            return
        elapsed_ms = now_ms - self._last_ms
        if elapsed_ms < INTERVAL_MS:
            return
        new = [now - before for now, before in zip(current, self._last, strict=True)]
        rtt = "" if stats.rtt_ms is None else f", rtt {stats.rtt_ms:.0f} ms"
        line = (
            f"sending {stats.codec or '?'} {1000 * new[0] / elapsed_ms:.1f} fps, video "
            f"{8 * new[1] / elapsed_ms:.0f} kb/s of {encoder.target_bps / 1000:.0f}, wire "
            f"{8 * new[2] / elapsed_ms:.0f} kb/s, keyframes {keyframes}, dropped "
            f"{capture.video.dropped}, lost packets {stats.packets_lost}{rtt}"
        )
        self._out.write(f"\r\x1b[K{line}" if self._out.isatty() else f"{line}\n")
        self._out.flush()
        self._last_ms, self._last = now_ms, current
