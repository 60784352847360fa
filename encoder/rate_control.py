"""How many bits a second the codec may spend. Pure."""

from __future__ import annotations

import math

from encoder.video_encoder import MAX_BITRATE_BPS, MIN_BITRATE_BPS

PACKET_OVERHEAD_BYTES = 38
"""Per RTP packet: header 12, extensions (MID, abs-send-time) 16, SRTP authentication tag 10."""

MAX_PAYLOAD_BYTES = 1200

AUTO_START_BPS = 300_000
AUTO_HEADROOM = 0.85
"""Share of the receiver's estimate that auto uses: the rest is for retransmissions."""

RAISE_STEP = 1.15
"""The codec is told a higher rate only when it is worth it: reopening it costs a keyframe."""


class RateController:
    """Turns the wanted wire bitrate and the receiver's estimate (REMB) into a codec bitrate.

    wanted_bps: video bits a second on the wire; None follows the estimate.
    """

    def __init__(self, wanted_bps: int | None) -> None:
        self._wanted_bps = wanted_bps
        self._wire_bps = wanted_bps or AUTO_START_BPS

    def codec_bitrate_bps(self, *, remote_estimate_bps: int | None, frame_rate: float) -> int:
        """Bits a second for the codec, so that packets and their headers stay on the target."""
        wire_bps = self._wanted_bps or self._wire_bps
        if remote_estimate_bps is not None:
            usable_bps = round(remote_estimate_bps * AUTO_HEADROOM)
            if self._wanted_bps is not None:
                wire_bps = min(self._wanted_bps, remote_estimate_bps)
            elif usable_bps < self._wire_bps or usable_bps > RAISE_STEP * self._wire_bps:
                wire_bps = usable_bps
        self._wire_bps = max(MIN_BITRATE_BPS, min(MAX_BITRATE_BPS, wire_bps))
        packets = math.ceil(self._wire_bps / frame_rate / 8 / MAX_PAYLOAD_BYTES)
        overhead_bps = frame_rate * packets * PACKET_OVERHEAD_BYTES * 8
        return max(MIN_BITRATE_BPS, round(self._wire_bps - overhead_bps))
