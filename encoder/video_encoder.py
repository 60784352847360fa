"""VideoEncoder: what every codec of the sender does, and how one is opened.

Live settings for all: no B-frames, no lookahead, one access unit out per frame in, keyframes
only when asked for, and a rate that a thin link can carry at every moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from stream.errors import ConfigError
from stream.frame import Frame, Size

MIN_BITRATE_BPS = 30_000
MAX_BITRATE_BPS = 5_000_000

H264Profile = Literal["baseline", "main", "high"]


@dataclass(frozen=True, slots=True, kw_only=True)
class H264Settings:
    """Settings of the H.264 encoder (libx264).

    target_bitrate_bps: bits a second of the access units, 30 kb/s to 5 Mb/s.
    frame_rate: frames a second that arrive; the encoder follows when reality differs.
    preset: x264's speed setting; "auto" takes the slowest that leaves most of a core free.
    intra_refresh: spread intra blocks over frames instead of sending whole keyframes.

    Raises ConfigError for values out of range.
    """

    size: Size
    target_bitrate_bps: int
    frame_rate: float = 25.0
    profile: H264Profile = "high"
    preset: str = "auto"
    intra_refresh: bool = False

    def __post_init__(self) -> None:
        if not MIN_BITRATE_BPS <= self.target_bitrate_bps <= MAX_BITRATE_BPS:
            raise ConfigError(
                f"bitrate {self.target_bitrate_bps} b/s is out of range: choose "
                f"{MIN_BITRATE_BPS // 1000}k to {MAX_BITRATE_BPS // 1_000_000}M"
            )
        if not 0 < self.frame_rate <= 240:
            raise ConfigError(f"frame rate {self.frame_rate} is out of range: choose up to 240")
        if not self.size.is_even:
            raise ConfigError(f"H.264 4:2:0 needs an even picture size, got {self.size}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedFrame:
    """One access unit (H.264: Annex B byte stream, parameter sets before each IDR)."""

    data: bytes
    pts: int
    is_keyframe: bool


class VideoEncoder(Protocol):
    """A codec in its live settings. Not thread-safe: one thread owns it."""

    @property
    def target_bitrate_bps(self) -> int:
        """Bits a second aimed at."""

    @target_bitrate_bps.setter
    def target_bitrate_bps(self, bitrate_bps: int) -> None:
        """Change the rate from the next frame on; clamped to what the encoder can do."""

    def encode(self, frame: Frame, *, force_keyframe: bool = False) -> EncodedFrame:
        """Compress the next frame, of the size in the settings, with a larger pts than the last.

        Raises FrameError for another size, CodecError when the library fails.
        """

    def close(self) -> None:
        """Free the codec."""


def open_video_encoder(settings: H264Settings) -> VideoEncoder:
    """Open the codec that belongs to these settings; CodecError when the library cannot."""
    from encoder.h264_encoder import H264Encoder

    return H264Encoder(settings)
