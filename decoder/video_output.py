"""Compression of restored HR frames for sinks: by libx264, leaving the CPU to the Restorer, or by
hardware (`decoder.video_codec`).

Cost at 1280x720, one thread, AVX-512 Xeon, CRF 20, no B-frames (CPU ms a frame, Mb/s at 25 fps):

    preset       textured clip      cartoon
    ultrafast    4.4 ms  4.8 Mb/s   5.3 ms  4.2 Mb/s
    superfast    7.8 ms  3.3 Mb/s   8.3 ms  3.3 Mb/s
    veryfast    10.1 ms  2.7 Mb/s   13.2 ms  2.5 Mb/s

superfast is the default: a quarter fewer bits than ultrafast for about 3 ms a frame; veryfast saves
another fifth but costs a quarter of a core at 25 fps, which the restoration needs. A second thread
lowers no CPU time, so one is used. A whole mp4 sink with sound costs 10 ms a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import OutputContainer
from av.video.frame import PictureType
from av.video.stream import VideoStream

from decoder.video_codec import H264Codec, OutputCodec, choose_codec
from stream.errors import CodecError, ConfigError
from stream.frame import CLOCK_HZ, Colour, Frame, Size
from stream.frame_av import TIME_BASE, frame_to_av

_NTSC_TOLERANCE = 1e-5
"""Relative distance below which a rate is taken for n * 1000/1001 (29.97 is 1e-6 away from it)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOutputConfig:
    """How restored pictures are compressed.

    crf: constant rate factor of x264; 20 keeps what was restored (23 starts to smooth it).
    keyframe_interval_ms: also the length of HLS segments and what a killed file may lose.
    max_bitrate_bps: VBV limit for links; None where only quality counts (files).
    codec: which encoder; preset, crf and threads are x264's.
    Raises ConfigError for values x264 would refuse.
    """

    preset: str = "superfast"
    crf: int = 20
    threads: int = 1
    keyframe_interval_ms: int = 2000
    max_bitrate_bps: int | None = None
    codec: OutputCodec = "auto"

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= 51:
            raise ConfigError(f"crf must be 0..51, got {self.crf}")
        if self.threads < 1 or self.keyframe_interval_ms < 1:
            raise ConfigError("threads and keyframe_interval_ms must be at least 1")


def exact_rate(frame_rate: float) -> Fraction:
    """A frame rate as the fraction that is meant: 29.97 -> 30000/1001, 25.0 -> 25.

    Raises ConfigError unless it is positive and finite.
    """
    if not 0 < frame_rate < 1e6:
        raise ConfigError(f"frame rate must be positive, got {frame_rate}")
    ntsc = Fraction(round(frame_rate * 1.001) * 1000, 1001)
    if ntsc and abs(float(ntsc) / frame_rate - 1) < _NTSC_TOLERANCE:
        return ntsc
    return Fraction(frame_rate).limit_denominator(1001)


class VideoOutput:
    """One H.264 track of a container: frames in presentation order in, packets out at once.

    No B-frames and no lookahead, so that dts equals pts and nothing is held back: what was written
    is in the file. Keyframes lie on the grid of `keyframe_interval_ms` and nowhere else: a cut in
    the picture is coded by intra blocks, which costs the same.
    """

    def __init__(
        self,
        container: OutputContainer,
        *,
        size: Size,
        frame_rate: float,
        colour: Colour,
        global_header: bool,
        config: VideoOutputConfig,
    ) -> None:
        """Add the track to `container`, whose header must not be written yet.

        global_header: whether parameter sets go to the container's header (mp4, mkv, flv) and not
        in band (mpegts). Raises CodecError when the codec refuses the settings.
        """
        self._size = size
        self._interval = config.keyframe_interval_ms * CLOCK_HZ // 1000
        self._next_keyframe_pts = 0
        self._codec = choose_codec(config.codec, size)
        rate = exact_rate(frame_rate)
        try:
            stream = container.add_stream(
                self._codec.codec,
                rate=rate,
                width=size.width,
                height=size.height,
                pix_fmt=self._codec.pixel_format,
                time_base=TIME_BASE,
                options=_options(self._codec, config, rate),
                hwaccel=self._codec.hwaccel(),
            )
            assert isinstance(stream, VideoStream)  # by the codec's kind; tells mypy
            self._stream = stream
            context = self._stream.codec_context
            context.thread_count = config.threads
            context.color_range = 1  # limited (AVCOL_RANGE_MPEG), what `Frame` is by contract
            context.color_primaries = colour.primaries
            context.color_trc = colour.transfer
            context.colorspace = colour.matrix
            if global_header:
                context.flags |= av.codec.context.Flags.global_header
            context.open()
        except (av.FFmpegError, ValueError) as error:
            raise CodecError(
                f"{self._codec.codec} refused {size} at {frame_rate:g} fps: {error}"
            ) from error

    def encode(self, frame: Frame, *, pts: int) -> list[av.Packet[VideoStream]]:
        """Compress `frame` to be shown at `pts` (1/90000 s, larger than the one before).

        Raises CodecError for another size than the track's or when the codec fails.
        """
        if frame.size != self._size:
            raise CodecError(f"the output is {self._size}, but a frame of {frame.size} came")
        picture = frame_to_av(frame.at(pts))
        if self._codec.pixel_format != picture.format.name:
            picture = picture.reformat(format=self._codec.pixel_format)
        if pts >= self._next_keyframe_pts:
            picture.pict_type = PictureType.I
            self._next_keyframe_pts = (pts // self._interval + 1) * self._interval
        return self._encode(picture)

    def flush(self) -> list[av.Packet[VideoStream]]:
        """What the codec still holds; nothing may be encoded afterwards."""
        return self._encode(None)

    def _encode(self, picture: av.VideoFrame | None) -> list[av.Packet[VideoStream]]:
        try:
            return list(self._stream.encode(picture))
        except av.FFmpegError as error:
            raise CodecError(f"{self._codec.codec} failed: {error}") from error


def _options(codec: H264Codec, config: VideoOutputConfig, rate: Fraction) -> dict[str, str]:
    # Forced pictures carry the interval; the codec's own limit is only a safety net behind it.
    longest_gop = max(1, round(2 * config.keyframe_interval_ms * float(rate) / 1000))
    options = {
        "g": str(longest_gop),
        **(dict(codec.options) if codec.is_hardware else _x264(config)),
    }
    if config.max_bitrate_bps is not None:
        options["maxrate"] = options["bufsize"] = str(config.max_bitrate_bps)
    return options


def _x264(config: VideoOutputConfig) -> dict[str, str]:
    return {
        "preset": config.preset,
        "crf": str(config.crf),
        "profile": "high",
        "bf": "0",
        "sc_threshold": "0",
        "forced-idr": "1",
        "rc-lookahead": "0",
        # force-cfr: rate control by the nominal rate, else x264 holds a frame back to know how long
        # it lasts. Timestamps pass through as they are.
        "x264-params": "sync-lookahead=0:sliced-threads=0:force-cfr=1",
    }
