"""How many bits a second the codec may spend. Pure."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from encoder.video_encoder import MAX_BITRATE_BPS, MIN_BITRATE_BPS

PACKET_OVERHEAD_BYTES = 38
"""Per RTP packet: header 12, extensions (MID, abs-send-time) 16, SRTP authentication tag 10."""

MAX_PAYLOAD_BYTES = 1200

AUTO_START_BPS = 300_000
AUTO_HEADROOM = 0.85
"""Share of the receiver's estimate that auto uses: the rest is for retransmissions."""

RAISE_STEP = 1.15
"""The codec is told a higher rate only when it is worth it: reopening it costs a keyframe."""

RAISE_INTERVAL_MS = 2000.0
"""Between two raises, so that the estimate can react to the first."""

PROBE_INTERVAL_MS = 5000.0
"""This long after trouble or a raise, a step up to what is wanted is tried whatever the estimate
says."""

PROBE_STEP = 1.3

SUSTAINED_MS = 1500.0
"""An estimate counts only when it stays that low."""

TROUBLE_MEMORY_MS = 1000.0
"""How long reported loss speaks for a low estimate."""

QUEUE_MS = 100.0
"""A round trip this much above the shortest one: packets wait in a queue on the path."""

CARRIED_SHARE = 0.8
"""Receivers of the GCC family (draft-ietf-rmcat-gcc-02 section 5.5) fall to 0.85 of what arrives
when they take jitter for a queue. So an estimate above this share of what was sent says that all of
it did arrive, and to follow it would let the rate spiral down for nothing."""


LINK_HEADROOM = 0.95
"""Share of what transport-wide feedback leaves for the video that is aimed at: a second of video
may take more than its mean."""

LINK_RAISE_STEP, LINK_RAISE_INTERVAL_MS = 1.05, 500.0
"""That estimate is this sender's own and tried by probes: it is followed up in small steps, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathReport:
    """What is known of the path: the receiver's estimate (REMB; None until it said one), packets
    reported lost since the start, round trip, and video bits sent over the last second.

    link_bps: what the path leaves for the video by this sender's own estimate; it counts instead of
    all others. None without transport-wide feedback.
    """

    estimate_bps: int | None = None
    packets_lost: int = 0
    rtt_ms: float | None = None
    sent_bps: float = 0.0
    link_bps: int | None = None


class RateController:
    """Turns the wanted bitrate and reports on the path into a codec bitrate.

    wanted_bps: video bits a second on the wire, left only when this sender's own estimate is lower,
    or when loss or a queue on the path proves a low REMB right; None (auto) follows the estimate.
    """

    def __init__(self, wanted_bps: int | None) -> None:
        self._is_auto = wanted_bps is None
        self._limit_bps = MAX_BITRATE_BPS if wanted_bps is None else wanted_bps
        self._wire_bps = AUTO_START_BPS if wanted_bps is None else wanted_bps
        self._usable: deque[tuple[float, int]] = deque()  # (time, bits a second): SUSTAINED_MS
        self._raised_ms = -math.inf
        self._packets_lost = 0
        self._lost_ms = -math.inf
        self._trouble_ms = -math.inf
        self._shortest_rtt_ms = math.inf
        self.reserved_bps = 0
        """Of what is aimed at, left for other data at the moment; may be set from any thread."""

    @property
    def wire_bps(self) -> int:
        """Video bits a second on the wire that are aimed at."""
        return self._wire_bps

    def codec_bitrate_bps(self, path: PathReport, *, frame_rate: float, now_ms: float) -> int:
        """Bits a second for the codec, so that packets and their headers stay on the target."""
        if path.link_bps is not None:
            self._follow_link(path.link_bps, now_ms)
        elif path.estimate_bps is not None:
            self._follow(path, path.estimate_bps, now_ms)
        video_bps = self._wire_bps - self.reserved_bps
        packets = math.ceil(video_bps / frame_rate / 8 / MAX_PAYLOAD_BYTES)
        overhead_bps = frame_rate * packets * PACKET_OVERHEAD_BYTES * 8
        return max(MIN_BITRATE_BPS, round(video_bps - overhead_bps))

    def _follow_link(self, link_bps: int, now_ms: float) -> None:
        usable_bps = max(MIN_BITRATE_BPS, min(self._limit_bps, round(LINK_HEADROOM * link_bps)))
        is_worth = usable_bps >= min(LINK_RAISE_STEP * self._wire_bps, self._limit_bps)
        if usable_bps < self._wire_bps:
            self._wire_bps = usable_bps
        elif is_worth and now_ms - self._raised_ms >= LINK_RAISE_INTERVAL_MS:
            self._wire_bps, self._raised_ms = usable_bps, now_ms

    def _follow(self, path: PathReport, estimate_bps: int, now_ms: float) -> None:
        usable_bps = round(estimate_bps * (AUTO_HEADROOM if self._is_auto else 1.0))
        usable_bps = max(MIN_BITRATE_BPS, min(self._limit_bps, usable_bps))
        is_losing = self._is_losing(path, now_ms)
        is_believed = is_losing or self._is_queueing(path)
        if self._is_auto:
            is_believed |= estimate_bps < CARRIED_SHARE * path.sent_bps
        sustained_bps = self._sustained(usable_bps if is_believed else self._limit_bps, now_ms)
        if is_losing:
            sustained_bps = usable_bps
        if is_believed:
            self._trouble_ms = now_ms
        if sustained_bps < self._wire_bps:
            self._wire_bps = sustained_bps
        elif not is_believed and now_ms - self._raised_ms >= RAISE_INTERVAL_MS:
            self._raise(usable_bps, now_ms)

    def _is_losing(self, path: PathReport, now_ms: float) -> bool:
        if path.packets_lost > self._packets_lost:
            self._packets_lost, self._lost_ms = path.packets_lost, now_ms
        return now_ms - self._lost_ms <= TROUBLE_MEMORY_MS

    def _is_queueing(self, path: PathReport) -> bool:
        if path.rtt_ms is None:
            return False
        self._shortest_rtt_ms = min(self._shortest_rtt_ms, path.rtt_ms)
        return path.rtt_ms > self._shortest_rtt_ms + QUEUE_MS

    def _sustained(self, usable_bps: int, now_ms: float) -> int:
        """The highest of the last SUSTAINED_MS; the limit until as much is known."""
        if not self._usable:
            self._usable.append((now_ms, self._limit_bps))
        self._usable.append((now_ms, usable_bps))
        # The newest of those that are too old stays: it held until the next one came.
        while self._usable[1][0] <= now_ms - SUSTAINED_MS:
            self._usable.popleft()
        return max(usable for _, usable in self._usable)

    def _raise(self, usable_bps: int, now_ms: float) -> None:
        quiet_ms = now_ms - max(self._trouble_ms, self._raised_ms)
        may_probe = not self._is_auto and quiet_ms >= PROBE_INTERVAL_MS
        raised_bps = max(usable_bps, round(PROBE_STEP * self._wire_bps) if may_probe else 0)
        raised_bps = min(raised_bps, self._limit_bps)
        worth_bps = min(RAISE_STEP * self._wire_bps, self._limit_bps)
        if raised_bps > self._wire_bps and raised_bps >= worth_bps:
            self._wire_bps, self._raised_ms = raised_bps, now_ms
