"""What it costs to send the full picture instead: direct coding at the same live settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np

from benchmarks.quality import psnr_y
from encoder.rate_control import MAX_PAYLOAD_BYTES, PACKET_OVERHEAD_BYTES
from encoder.video_encoder import (
    MAX_BITRATE_BPS,
    MIN_BITRATE_BPS,
    H264Settings,
    open_video_encoder,
)
from stream.frame import CLOCK_HZ, Frame
from stream.frame_av import frame_from_av


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectPoint:
    """One coding of the full picture. wire_bps: with RTP headers, as the sender's packets have."""

    target_bps: int
    wire_bps: float
    psnr_y_db: float


def code_directly(frames: Sequence[Frame], *, frame_rate: float, target_bps: int) -> DirectPoint:
    """Code and decode `frames` with the sender's live H.264 at their full size."""
    encoder = open_video_encoder(
        H264Settings(size=frames[0].size, target_bitrate_bps=target_bps, frame_rate=frame_rate)
    )
    decoder = av.CodecContext.create("h264", "r")
    wire_bytes = 0
    quality: list[float] = []
    decoded: list[Frame] = []
    for index, frame in enumerate(frames):
        unit = encoder.encode(frame.at(round(index * CLOCK_HZ / frame_rate)))
        packets = math.ceil(len(unit.data) / MAX_PAYLOAD_BYTES)
        wire_bytes += len(unit.data) + packets * PACKET_OVERHEAD_BYTES
        decoded += [frame_from_av(p, pts=0) for p in decoder.decode(av.Packet(unit.data))]
        while len(decoded) > 0:
            quality.append(psnr_y(decoded.pop(0).y, frames[len(quality)].y))
    quality += [
        psnr_y(frame_from_av(p, pts=0).y, frames[len(quality) + i].y)
        for i, p in enumerate(decoder.decode(None))
    ]
    encoder.close()
    return DirectPoint(
        target_bps=target_bps,
        wire_bps=8 * wire_bytes * frame_rate / len(frames),
        psnr_y_db=float(np.mean(quality)),
    )


def bitrate_for_quality(
    frames: Sequence[Frame], *, frame_rate: float, psnr_y_db: float, start_bps: int
) -> tuple[float | None, list[DirectPoint]]:
    """Wire bits a second at which direct coding reaches `psnr_y_db`, and the points tried.

    Interpolated on a logarithmic bitrate axis between the two points around it; None when even
    MAX_BITRATE_BPS stays below (or MIN_BITRATE_BPS is above): nothing is extrapolated.
    """
    points: list[DirectPoint] = []
    target = max(MIN_BITRATE_BPS, start_bps)
    while True:
        point = code_directly(frames, frame_rate=frame_rate, target_bps=target)
        points.append(point)
        if point.psnr_y_db >= psnr_y_db or target >= MAX_BITRATE_BPS:
            break
        target = min(MAX_BITRATE_BPS, round(target * 1.5))
    if len(points) == 1 or points[-1].psnr_y_db < psnr_y_db:
        return None, points
    low, high = points[-2], points[-1]
    share = (psnr_y_db - low.psnr_y_db) / (high.psnr_y_db - low.psnr_y_db)
    log_bps = math.log(low.wire_bps) + share * (math.log(high.wire_bps) - math.log(low.wire_bps))
    return math.exp(log_bps), points
