"""What a sending transport may send: feedback in, the video's share of the path out. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from stream.bandwidth_estimator import BandwidthEstimator, PathEstimate
from stream.probing import Probe
from stream.stats import RateMeter
from stream.twcc_history import SentPackets

UDP_IP_BYTES = 28
"""UDP 8 and IPv4 20, which the link carries with each packet."""

SRTP_TAG_BYTES = 10
MIN_BPS = 40_000
SILENCE_MS = 1_500.0
"""Without feedback for this long the path may be broken: send half, and half of that, …"""

_METER_MS = 2000.0
_DEFAULT_RTT_MS = 100.0
_AUDIO_PACKETS_PER_S = 50
_SLACK = 1.25  # of the video: room for its retransmissions, and for probes to find
_SLACK_BPS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingLimits:
    """Bits a second, with RTP headers but without UDP and IP.

    start_video_bps: to begin with. max_video_bps: what the video uses at most. audio_bps: of the
    sound's codec, 0 without sound.
    """

    start_video_bps: int
    max_video_bps: int
    audio_bps: int = 0


class CongestionControl:
    """One for all streams of a transport. All rates inside are of IP packets."""

    def __init__(self, limits: SendingLimits) -> None:
        audio_bps = 0
        if limits.audio_bps:
            audio_bps = limits.audio_bps + 8 * _AUDIO_PACKETS_PER_S * (38 + UDP_IP_BYTES)
        self._packets = SentPackets()
        self._estimator = BandwidthEstimator(
            start_bps=round(_SLACK * limits.start_video_bps) + audio_bps + _SLACK_BPS,
            max_bps=round(_SLACK * limits.max_video_bps) + audio_bps + _SLACK_BPS,
            min_bps=MIN_BPS + audio_bps,
        )
        self._estimate: PathEstimate | None = None
        self._heard_ms = 0.0
        self._others = RateMeter(_METER_MS)
        self._video_packets = RateMeter(_METER_MS)

    @property
    def estimate(self) -> PathEstimate | None:
        """The latest; None until there was feedback."""
        return self._estimate

    def note_sent(
        self, size_bytes: int, *, is_video: bool, now_ms: float, probe: int | None = None
    ) -> int:
        """Note an RTP packet (without SRTP tag) that leaves now; its transport-wide number."""
        size = size_bytes + SRTP_TAG_BYTES + UDP_IP_BYTES
        if is_video:
            self._video_packets.add(1, now_ms=now_ms)
        elif probe is None:
            self._others.add(size, now_ms=now_ms)
        return self._packets.add(size, now_ms=now_ms, probe=probe)

    def take_feedback(self, packet: bytes, *, rtt_ms: float | None, now_ms: float) -> Probe | None:
        """Use transport feedback; a probe, if it is time for one. PeerError if malformed."""
        known = self._packets.take(packet)
        self._heard_ms = now_ms
        rtt_ms = _DEFAULT_RTT_MS if rtt_ms is None else rtt_ms
        self._estimate = self._estimator.update(known, rtt_ms=rtt_ms, now_ms=now_ms)
        return self._estimate.probe

    def video_bps(self, *, now_ms: float) -> int | None:
        """What the video may send, with RTP headers, without UDP and IP; None if not known."""
        if self._estimate is None:
            return None
        silent_ms = now_ms - self._heard_ms
        halvings = int(max(0.0, silent_ms) / SILENCE_MS)
        target_bps = self._estimate.target_bps * 0.5**halvings
        packets_per_s = self._video_packets.rate_bps(now_ms=now_ms) / 8
        others_bps = self._others.rate_bps(now_ms=now_ms)
        return max(0, round(target_bps - others_bps - 8 * UDP_IP_BYTES * packets_per_s))
