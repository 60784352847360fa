"""H.264 by libx264 in live settings."""

from __future__ import annotations

import re
import struct
from collections import deque
from dataclasses import replace
from fractions import Fraction
from statistics import median

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from encoder.rate_trim import MOST, RateTrim
from encoder.video_encoder import (
    MAX_BITRATE_BPS,
    MIN_BITRATE_BPS,
    EncodedFrame,
    H264Settings,
)
from stream.errors import CodecError, FrameError
from stream.frame import CLOCK_HZ, Colour, Frame, Size
from stream.frame_av import TIME_BASE, frame_to_av

VBV_SECONDS = 0.13
"""Rate-control buffer. No window of a second may exceed the target by more than 10 %: measured on
moving clips at 150 kb/s, 0.2 s gives at most 1.10 times the target, 0.5 s up to 1.34, 1 s 1.67.
Less than 0.2 s since `encoder.rate_trim` may tell x264 up to 1.25 times the target."""

REOPEN_BELOW, REOPEN_ABOVE = 0.7, 1.1
"""x264's VBV ceiling is fixed when it opens. A target below this share of it is overshot, one above
it is not reached: then the encoder is opened again, at the price of one keyframe."""

REOPEN_INTERVAL = 2 * CLOCK_HZ
"""At least 2 s (in 1/90000 s) between two openings: each costs a keyframe's worth of bits."""

FRAME_RATE_TOLERANCE = 0.2
FRAME_RATE_WINDOW = 25
"""Budgets are per frame: when the true frame rate, by the median of this many intervals (so that a
pause does not count), differs from the declared one by more than the tolerance, the encoder is
opened again with the true one."""

MOST_SPENT = 1.09
"""Bits of any second, in shares of the target, that no frame may take it above: where x264's
coarsest quantiser is still too fine, say after a cut, the last picture is repeated meanwhile."""

REPETITION_SHARE = 0.2
"""Of the target, that x264 is told for a repetition: it would spend what it has on refining it."""

REFRESH_SECONDS = 2.0
"""In which intra blocks pass over the whole picture, where they take the place of keyframes."""

PRESETS = ("slow", "medium", "fast", "faster", "veryfast", "superfast", "ultrafast")

LOWEST_QUANTISER = 14
"""Finer than this nothing visible is gained, in LR that is going to be restored, and a picture that
stands still would be refined for ever: at 150 kb/s it takes 8 % of the rate with it, 25 to 45 %
without."""

_IDR = re.compile(rb"\x00\x00\x01[\x25\x45\x65]")
"""A NAL unit of type 5 (ITU-T H.264, 7.3.1), of any importance but none."""

_QUALITY_STATS = struct.Struct("<5xB2xQ")

_PIXELS_PER_SECOND_MEDIUM = 640 * 360 * 30
_PIXELS_PER_SECOND_FASTER = 960 * 540 * 30


def preset_for(size: Size, frame_rate: float) -> str:
    """The slowest preset that takes well under half a core at this picture rate.

    At 360p, 150 kb/s, `medium` runs at about 160 to 270 frames/s on one core and is worth 0.4 to
    1.2 dB over `veryfast` (400 to 590 frames/s).
    """
    pixels_per_second = size.width * size.height * frame_rate
    if pixels_per_second <= _PIXELS_PER_SECOND_MEDIUM:
        return "medium"
    if pixels_per_second <= _PIXELS_PER_SECOND_FASTER:
        return "faster"
    return "veryfast"


class H264Encoder:
    """A `VideoEncoder` over libx264; see `H264Settings`."""

    def __init__(self, settings: H264Settings) -> None:
        self._settings = settings
        self._target_bitrate_bps = settings.target_bitrate_bps
        self._intervals: deque[int] = deque(maxlen=FRAME_RATE_WINDOW)
        self._last_pts: int | None = None
        self._trim = RateTrim()
        self._shown: Frame | None = None  # the source of what the other end shows
        self._expected = (
            0.0  # bits of a frame that is no repetition, in seconds of the target's rate
        )
        self._steps = self._opened_steps = 0  # faster than the settings say
        self._opened_pts: int | None = None
        self._opened_bitrate_bps = settings.target_bitrate_bps
        self._opened_colour = Colour()
        # To refuse bad settings at once; the colour tags come with the first frame.
        self._open(Colour())
        self._context: VideoCodecContext | None = None

    @property
    def target_bitrate_bps(self) -> int:
        """Bits a second aimed at."""
        return self._target_bitrate_bps

    @target_bitrate_bps.setter
    def target_bitrate_bps(self, bitrate_bps: int) -> None:
        self._target_bitrate_bps = max(MIN_BITRATE_BPS, min(MAX_BITRATE_BPS, bitrate_bps))

    def encode(self, frame: Frame, *, force_keyframe: bool = False) -> EncodedFrame:
        """Compress one frame to one access unit; see `VideoEncoder.encode`."""
        if frame.size != self._settings.size:
            raise FrameError(f"encoder opened for {self._settings.size} got {frame.size}")
        if self._last_pts is not None and frame.pts <= self._last_pts:
            raise FrameError(f"pts {frame.pts} does not follow {self._last_pts}")
        if self._last_pts is not None:
            self._intervals.append(frame.pts - self._last_pts)
        self._last_pts = frame.pts
        context = self._context
        if context is None or self._must_reopen(frame):
            context = self._context = self._open(frame.colour)
            self._opened_pts = frame.pts
            self._shown = None
        target_bps = min(self._target_bitrate_bps, self._opened_bitrate_bps)
        share = self._trim.share(frame.pts)
        shown = frame
        if self._shown is not None and not force_keyframe and self._is_full():
            shown, share = self._shown.at(frame.pts), REPETITION_SHARE
        bitrate_bps = round(target_bps * share)
        if context.bit_rate != bitrate_bps:
            context.bit_rate = bitrate_bps
        picture = frame_to_av(shown)
        picture.pict_type = PictureType.I if force_keyframe else PictureType.NONE
        try:
            packets = context.encode(picture)
        except av.FFmpegError as error:
            raise CodecError(f"libx264 refused a {frame.size} frame: {error}") from error
        if len(packets) != 1:
            raise CodecError(f"libx264 returned {len(packets)} access units for one frame")
        self._trim.note(frame.pts, bits=8 * packets[0].size, target_bps=target_bps)
        data = bytes(packets[0])
        # The start of a refresh counts as one for x264, but nothing can be decoded from there.
        is_keyframe = packets[0].is_keyframe and _IDR.search(data) is not None
        if shown is frame:
            self._shown = frame
            if not is_keyframe:
                self._expected = 8 * packets[0].size / target_bps
        return EncodedFrame(
            data=data,
            pts=frame.pts,
            is_keyframe=is_keyframe,
            mse=_mse_of(packets[0], frame.y.size) if shown is frame else None,
        )

    def be_faster(self, steps: int) -> None:
        """Take a faster preset; see `VideoEncoder.be_faster`."""
        self._steps = steps

    def close(self) -> None:
        """Free the codec; the encoder may not be used afterwards."""
        self._context = None

    def _is_full(self) -> bool:
        """Whether one more frame like the last one would be too much for this second."""
        return self._trim.spent() + self._expected > MOST_SPENT

    def _must_reopen(self, frame: Frame) -> bool:
        """Whether the open codec cannot do what is wanted; takes over the true frame rate."""
        if frame.colour != self._opened_colour:
            return True
        if self._opened_pts is not None and frame.pts - self._opened_pts < REOPEN_INTERVAL:
            return False
        if self._steps != self._opened_steps:
            return True
        if len(self._intervals) == FRAME_RATE_WINDOW:
            frame_rate = max(1.0, min(240.0, CLOCK_HZ / median(self._intervals)))
            if abs(frame_rate / self._settings.frame_rate - 1) > FRAME_RATE_TOLERANCE:
                self._settings = replace(self._settings, frame_rate=frame_rate)
                return True
        return (
            not REOPEN_BELOW <= self._target_bitrate_bps / self._opened_bitrate_bps <= REOPEN_ABOVE
        )

    def _open(self, colour: Colour) -> VideoCodecContext:
        settings, bitrate_bps = self._settings, self._target_bitrate_bps
        most_bps = round(bitrate_bps * MOST)
        frame_rate = Fraction(settings.frame_rate).limit_denominator(1001)
        preset = settings.preset
        if preset == "auto":
            preset = preset_for(settings.size, settings.frame_rate)
        if self._steps and preset in PRESETS:
            preset = PRESETS[min(PRESETS.index(preset) + self._steps, len(PRESETS) - 1)]
        self._opened_steps = self._steps
        keyframes = "keyint=infinite"
        if settings.intra_refresh:
            keyframes = f"intra-refresh=1:keyint={round(REFRESH_SECONDS * settings.frame_rate)}"
        # psy: psychovisual rate distortion lowers PSNR and VMAF-NEG, and restoration brings
        # detail back better than noise kept by it. aq-mode: adaptive quantisation takes bits from
        # detail for flat parts; without it 13 to 18 % less of them are needed for the same PSNR-Y
        # after restoration (`benchmarks.coding_options`), 14 to 27 % for the same VMAF-NEG.
        # threads=1: zero latency without the cost of slices. scenecut=0, keyint: the sender decides
        # where keyframes are.
        x264_params = (
            f"psy=0:aq-mode=0:scenecut=0:{keyframes}:threads=1:sliced-threads=0:repeat-headers=1"
            f":qpmin={LOWEST_QUANTISER}"
        )
        x264_params = ":".join((x264_params, *settings.library_options))
        try:
            context = av.CodecContext.create("libx264", "w")
            context.width, context.height = settings.size.width, settings.size.height
            context.pix_fmt = "yuv420p"
            context.framerate = frame_rate
            context.time_base = TIME_BASE
            context.bit_rate = most_bps
            context.thread_count = 1
            context.flags |= Flags.psnr  # so that packets tell their error; changes no bit of them
            context.color_primaries = colour.primaries
            context.color_trc = colour.transfer
            context.colorspace = colour.matrix
            context.color_range = 1  # limited, the contract of Frame
            context.options = {
                "preset": preset,
                "tune": "zerolatency",
                "profile": settings.profile,
                "maxrate": str(most_bps),
                "bufsize": str(int(most_bps * VBV_SECONDS)),
                "forced-idr": "1",
                "x264-params": x264_params,
            }
            context.open()
        except (av.FFmpegError, ValueError) as error:
            raise CodecError(f"libx264 cannot be opened for {settings}: {error}") from error
        self._opened_bitrate_bps, self._opened_colour = bitrate_bps, colour
        return context


def _mse_of(packet: av.Packet[av.VideoStream], samples: int) -> float | None:
    """The mean squared error of the luma that libavcodec's AV_PKT_DATA_QUALITY_STATS tells."""
    if not packet.has_sidedata("quality_stats"):
        return None
    stats = bytes(packet.get_sidedata("quality_stats"))
    # u32 quality, u8 picture type, u8 number of errors, u16 reserved, u64 squared errors by plane
    if len(stats) < _QUALITY_STATS.size:
        return None
    errors, luma = _QUALITY_STATS.unpack_from(stats)
    return luma / samples if errors else None
