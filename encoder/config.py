"""Settings of the sender; the command line of `edvr-send` is generated from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from encoder.codec_choice import CodecWish, Preset
from encoder.ladder import DEFAULT_HD
from encoder.source import SourceConfig
from encoder.video_encoder import MAX_BITRATE_BPS, MIN_BITRATE_BPS
from stream.access import check_token
from stream.config import format_bitrate, parse_bitrate
from stream.config_file import ConfigFilePath
from stream.errors import ConfigError
from stream.flag_types import (
    BearerToken,
    BitrateOrAuto,
    PictureSize,
    PictureSizeOrAuto,
    StreamName,
    one_value,
)
from stream.log import LogFormat
from stream.scene_signature import MAX_SCENES
from stream.sdp_exchange import check_url
from stream.tracks import MAX_AUDIO_BPS, MIN_AUDIO_BPS

Adapt = Literal["off", "cpu", "gpu"]

MIN_DELTA_BPS = 1000
MOST_DELTA_SHARE = 0.25
"""Of the bitrate: more would be missed in the pictures."""

DeltaBitrate = Annotated[int, one_value(parse_bitrate, metavar="RATE", show=str)]
ProfileFiles = tuple[Path, ...]
AudioBitrate = Annotated[int, one_value(parse_bitrate, metavar="RATE", show=str)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderConfig:
    """What to send, where, and how small."""

    input: Annotated[StreamName, Parameter(name="--input")] = field(kw_only=False)
    """What to send: a file, a URL (rtmp, rtsp, srt, http, HLS), v4l2:/dev/video0, x11:,
    test: for a generated scene, or - for standard input."""

    whip: str
    """WHIP endpoint to publish to, for example http://127.0.0.1:8080/whip."""

    token: BearerToken = None
    """Bearer token of the endpoint."""

    bitrate_bps: Annotated[BitrateOrAuto, Parameter(name="--bitrate")] = 150_000
    """Video bits a second on the wire, 30k to 5M; auto follows what the path carries."""

    codec: CodecWish = "auto"
    """Codec to compress with; auto takes AV1 if the other end has it, else H.264."""

    size: PictureSizeOrAuto = None
    """Picture size that travels; auto chooses it by bitrate. The aspect ratio is kept."""

    hd_size: PictureSize = DEFAULT_HD
    """What the receiver restores to (its --size), for which --size auto chooses."""

    fps: float | None = None
    """At most this many frames a second travel."""

    loop: bool = False
    """Start a file again at its end."""

    duration_s: Annotated[float | None, Parameter(name="--duration")] = None
    """Stop after this many seconds of the source."""

    audio: bool = True
    """Send the sound too."""

    audio_bitrate_bps: Annotated[AudioBitrate, Parameter(name="--audio-bitrate")] = 32_000
    """Bits a second of Opus sound, 24k to 64k."""

    preset: Preset = "auto"
    """Speed of compression; auto takes the slowest that leaves most of a core free."""

    intra_refresh: bool = False
    """H.264: refresh the picture bit by bit instead of by whole keyframes."""

    explain: bool = False
    """Say what was agreed on with the other end, what is sent, and why."""

    preview_quality: bool = False
    """Once a minute restore what was sent, as a receiver does, and log how close it comes."""

    profiles: Annotated[ProfileFiles, Parameter(name="--profile", metavar="FILE")] = ()
    """Weights made for this show (edvr-model adapt) that receivers are to restore it with. Of
    several, each is for the scenes that it was made from."""

    adapt: Adapt = "off"
    """Train the receiver's network on what is sent, on this processor or GPU, and send it what was
    learned. Needs the extra train."""

    adapt_budget_bps: Annotated[DeltaBitrate, Parameter(name="--adapt-budget")] = 10_000
    """Bits a second for both, out of --bitrate: only while weights are being sent."""

    adapt_model: str | None = None
    """Name or folder of the receiver's model; otherwise the receiver says which it is."""

    verbose: bool = False
    """Log more: scene cuts and requests for keyframes."""

    log_format: LogFormat = "text"
    """json: one object a line, for collecting."""

    config: ConfigFilePath = None
    """Take settings from this TOML file: flags by their names without --."""

    def __post_init__(self) -> None:
        check_url(self.whip)
        check_token(self.token)
        if self.bitrate_bps is not None and not (
            MIN_BITRATE_BPS <= self.bitrate_bps <= MAX_BITRATE_BPS
        ):
            raise ConfigError(
                f"--bitrate {format_bitrate(self.bitrate_bps)} is out of range: choose "
                f"{format_bitrate(MIN_BITRATE_BPS)} to {format_bitrate(MAX_BITRATE_BPS)}"
            )
        most_bps = MAX_BITRATE_BPS if self.bitrate_bps is None else self.bitrate_bps
        is_in_range = MIN_DELTA_BPS <= self.adapt_budget_bps <= MOST_DELTA_SHARE * most_bps
        if (self.adapt != "off" or self.profiles) and not is_in_range:
            raise ConfigError(
                f"--adapt-budget {format_bitrate(self.adapt_budget_bps)} is out of range: choose "
                f"{format_bitrate(MIN_DELTA_BPS)} to a quarter of --bitrate"
            )
        if not MIN_AUDIO_BPS <= self.audio_bitrate_bps <= MAX_AUDIO_BPS:
            raise ConfigError(
                f"--audio-bitrate {format_bitrate(self.audio_bitrate_bps)} is out of range: "
                f"choose {format_bitrate(MIN_AUDIO_BPS)} to {format_bitrate(MAX_AUDIO_BPS)}"
            )
        if self.profiles and self.adapt != "off":
            raise ConfigError("--adapt begins with the model's own weights: leave out --profile")
        if len(self.profiles) > MAX_SCENES:
            raise ConfigError(f"--profile: {MAX_SCENES} at most, got {len(self.profiles)}")
        if self.duration_s is not None and not 0 < self.duration_s < math.inf:
            raise ConfigError(f"--duration must be above 0 seconds, got {self.duration_s}")
        if self.fps is not None and not (math.isfinite(self.fps) and 0 < self.fps <= 240):
            raise ConfigError(f"--fps must be above 0 and at most 240, got {self.fps}")

    @property
    def source(self) -> SourceConfig:
        """The part that concerns the source."""
        return SourceConfig(url=self.input, loop=self.loop, fps=self.fps, audio=self.audio)
