"""Which codecs the sender offers, and with which settings it opens the one that was agreed on."""

from __future__ import annotations

from typing import Literal

from encoder.video_encoder import (
    AV1Settings,
    CodecName,
    CodecSettings,
    H264Profile,
    H264Settings,
)
from stream.errors import CodecError, ConfigError
from stream.frame import Size
from stream.sending_codecs import NegotiatedCodec

CodecWish = Literal["auto", "av1", "h264"]
"""auto: AV1 where both ends have it, which needs about half the bits; else H.264."""

Preset = Literal["auto", "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"]
"""x264's names, for both codecs: those that a live picture can be coded with; by their speed."""

_AV1_PRESETS = {
    "ultrafast": "12",
    "superfast": "11",
    "veryfast": "10",
    "faster": "9",
    "fast": "8",
    "medium": "7",
    "slow": "6",
}
"""SVT-AV1's numbers."""

_H264_PROFILES: dict[str, H264Profile] = {"64": "high", "4d": "main", "42": "baseline"}
"""By the first byte of profile-level-id (RFC 6184 section 8.1)."""


def offered_codecs(wish: CodecWish) -> tuple[CodecName, ...]:
    """What to offer, best first. Raises ConfigError when AV1 is wished for and cannot be coded."""
    if wish == "h264":
        return ("h264",)
    try:
        from encoder.svt_av1 import library

        library()
    except CodecError as error:
        if wish == "av1":
            raise ConfigError(f"--codec av1: {error}") from error
        return ("h264",)
    return ("av1",) if wish == "av1" else ("av1", "h264")


def settings_for(
    codec: NegotiatedCodec,
    *,
    size: Size,
    target_bps: int,
    frame_rate: float,
    preset: str,
    intra_refresh: bool,
) -> CodecSettings:
    """Settings of the encoder for what was agreed on. Raises CodecError when there is none."""
    match codec.name:
        case "av1":
            return AV1Settings(
                size=size,
                target_bitrate_bps=target_bps,
                frame_rate=frame_rate,
                preset=_AV1_PRESETS.get(preset, "auto"),
            )
        case "h264":
            return H264Settings(
                size=size,
                target_bitrate_bps=target_bps,
                frame_rate=frame_rate,
                profile=h264_profile(codec),
                preset=preset,
                intra_refresh=intra_refresh,
            )
    raise CodecError(f"no encoder for {codec.name}")


def h264_profile(codec: NegotiatedCodec) -> H264Profile:
    """The profile of an agreed H.264; Baseline where it is not one that is known here."""
    return _H264_PROFILES.get((codec.profile_level_id or "42")[:2].lower(), "baseline")
