"""What one stream took from the network, over all the sessions of its publishers. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from stream.peer import PeerStats

SHORTEST_INTERVAL_MS = 500.0
"""A rate is not told anew over less than this: a single packet would make it jump."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireTotals:
    """Sums over all sessions so far. rate_bps: over the last interval.

    active_ms: time in which anything came, so that pauses between publishers do not count.
    """

    wire_bytes: int = 0
    packets_lost: int = 0
    frames_lost: int = 0
    peer_errors: int = 0
    rate_bps: int = 0
    active_ms: float = 0.0

    @property
    def mean_bps(self) -> int | None:
        """Bits a second while anything came; None before a second of it."""
        return round(8000 * self.wire_bytes / self.active_ms) if self.active_ms >= 1000 else None


class WireMeter:
    """Adds up the counts of one peer after another."""

    def __init__(self, *, now_ms: float) -> None:
        self._before = PeerStats()
        self._totals = WireTotals()
        self._reported_bytes = 0
        self._reported_ms = now_ms

    @property
    def totals(self) -> WireTotals:
        """As of the last update."""
        return self._totals

    def end_session(self, last: PeerStats) -> None:
        """The next update is about another peer, whose counts start at zero."""
        self._before = _sum(self._before, last)

    def update(self, peer: PeerStats, *, now_ms: float) -> WireTotals:
        """Take the counts of the current peer."""
        totals = _sum(self._before, peer)
        new_bytes = totals.wire_bytes_received - self._reported_bytes
        elapsed_ms = now_ms - self._reported_ms
        rate_bps, active_ms = self._totals.rate_bps, self._totals.active_ms
        if elapsed_ms >= SHORTEST_INTERVAL_MS:
            rate_bps = round(8000 * new_bytes / elapsed_ms)
            active_ms += elapsed_ms if new_bytes else 0.0
            self._reported_bytes, self._reported_ms = totals.wire_bytes_received, now_ms
        self._totals = WireTotals(
            wire_bytes=totals.wire_bytes_received,
            packets_lost=totals.packets_lost,
            frames_lost=totals.frames_lost,
            peer_errors=totals.peer_errors,
            rate_bps=rate_bps,
            active_ms=active_ms,
        )
        return self._totals


def _sum(a: PeerStats, b: PeerStats) -> PeerStats:
    return PeerStats(
        wire_bytes_received=a.wire_bytes_received + b.wire_bytes_received,
        packets_lost=a.packets_lost + b.packets_lost,
        frames_lost=a.frames_lost + b.frames_lost,
        peer_errors=a.peer_errors + b.peer_errors,
    )
