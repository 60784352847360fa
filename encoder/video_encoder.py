"""VideoEncoder: what every codec of the sender does, and how one is opened.

Live settings for all: no B-frames, no lookahead, one access unit out per frame in, keyframes
only when asked for, and a rate that a thin link can carry at every moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, assert_never

from stream.errors import ConfigError
from stream.frame import Frame, Size

MIN_BITRATE_BPS = 30_000
MAX_BITRATE_BPS = 5_000_000

CodecName = Literal["h264", "av1"]
H264Profile = Literal["baseline", "main", "high"]


@dataclass(frozen=True, slots=True, kw_only=True)
class H264Settings:
    """Settings of the H.264 encoder (libx264).

    target_bitrate_bps: bits a second of the access units, 30 kb/s to 5 Mb/s.
    frame_rate: frames a second that arrive; the encoder follows when reality differs.
    preset: x264's speed setting; "auto" takes the slowest that leaves most of a core free.
    intra_refresh: let intra blocks pass over the picture again and again, so that what a loss has
        damaged heals without a keyframe.
    library_options: of x264, as NAME=VALUE, in place of those of live settings: for measuring.

    Raises ConfigError for values out of range.
    """

    size: Size
    target_bitrate_bps: int
    frame_rate: float = 25.0
    profile: H264Profile = "high"
    preset: str = "auto"
    intra_refresh: bool = False
    library_options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check(self.size, self.target_bitrate_bps, self.frame_rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class AV1Settings:
    """Settings of the AV1 encoder (SVT-AV1), Main profile.

    target_bitrate_bps: bits a second of the temporal units, 30 kb/s to 5 Mb/s.
    frame_rate: frames a second that arrive; the encoder follows when reality differs.
    preset: the library's speed setting, "0" (slow) to "13"; "auto" takes the slowest that leaves
        most of a core free.
    library_options: as in H264Settings, of SVT-AV1.

    Raises ConfigError for values out of range.
    """

    size: Size
    target_bitrate_bps: int
    frame_rate: float = 25.0
    preset: str = "auto"
    library_options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check(self.size, self.target_bitrate_bps, self.frame_rate)
        if self.preset != "auto" and self.preset not in map(str, range(14)):
            raise ConfigError(f"AV1 preset {self.preset!r} is unknown: choose auto or 0 to 13")


CodecSettings: TypeAlias = H264Settings | AV1Settings


def _check(size: Size, target_bitrate_bps: int, frame_rate: float) -> None:
    if not MIN_BITRATE_BPS <= target_bitrate_bps <= MAX_BITRATE_BPS:
        raise ConfigError(
            f"bitrate {target_bitrate_bps} b/s is out of range: choose "
            f"{MIN_BITRATE_BPS // 1000}k to {MAX_BITRATE_BPS // 1_000_000}M"
        )
    if not 0 < frame_rate <= 240:
        raise ConfigError(f"frame rate {frame_rate} is out of range: choose up to 240")
    if not size.is_even:
        raise ConfigError(f"4:2:0 needs an even picture size, got {size}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedFrame:
    """One access unit.

    H.264: Annex B byte stream, parameter sets before each IDR. AV1: temporal unit of OBUs with
    sizes (AV1 section 5.2), its delimiter first, the sequence header before each keyframe.
    mse: mean squared error of its luma against the frame that was given; None where the last
    picture is repeated instead, or the library does not say.
    """

    data: bytes
    pts: int
    is_keyframe: bool
    mse: float | None = None


class VideoEncoder(Protocol):
    """A codec in its live settings. Not thread-safe: one thread owns it."""

    @property
    def target_bitrate_bps(self) -> int:
        """Bits a second aimed at."""

    @target_bitrate_bps.setter
    def target_bitrate_bps(self, bitrate_bps: int) -> None:
        """Change the rate from the next frame on; clamped to what the encoder can do."""

    def be_faster(self, steps: int) -> None:
        """Take a preset so many steps faster than the settings say, with the next keyframe.

        There will be one soon. As fast as it gets if there are not so many.
        """

    def encode(self, frame: Frame, *, force_keyframe: bool = False) -> EncodedFrame:
        """Compress the next frame, of the size in the settings, with a larger pts than the last.

        Raises FrameError for another size, CodecError when the library fails.
        """

    def close(self) -> None:
        """Free the codec."""


def open_video_encoder(settings: CodecSettings) -> VideoEncoder:
    """Open the codec that belongs to these settings; CodecError when the library cannot."""
    match settings:
        case H264Settings():
            from encoder.h264_encoder import H264Encoder

            return H264Encoder(settings)
        case AV1Settings():
            from encoder.av1_encoder import AV1Encoder

            return AV1Encoder(settings)
        case _:
            assert_never(settings)
