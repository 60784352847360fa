"""The encoders that are compared, all in live settings, and what the report says about them.

Live for all of them: one access unit out per frame in, no B-frames, no lookahead, a rate-control
buffer of `VBV_SECONDS`, one keyframe at the start and one where the sender's own detector finds a
cut, no others. What an encoder can be tuned for is PSNR, as the product's encoders are: options
that please the eye at the expense of PSNR and VMAF-NEG are off.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from encoder.h264_encoder import VBV_SECONDS
from encoder.video_encoder import AV1Settings, CodecSettings, H264Settings, open_video_encoder
from stream.errors import CodecError, ConfigError
from stream.frame import Frame, Size
from stream.frame_av import TIME_BASE, frame_to_av
from stream.thread_scheduling import ordinary_threads


class ClipEncoder(Protocol):
    """One frame in, one access unit out."""

    def encode(self, frame: Frame, *, force_keyframe: bool) -> tuple[bytes, bool]:
        """The access unit, and whether it is a keyframe. Raises CodecError."""

    def close(self) -> None:
        """Free the codec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """An encoder in one setting.

    name: as in results. codec: what the bits are: h264, av1 or hevc. settings: what the report
    says. is_small: codes the small picture that is restored, not the full one. library_options: as
    in the settings of the sender's encoders.
    """

    name: str
    codec: str
    settings: str
    is_small: bool = False
    library_options: tuple[str, ...] = ()

    def with_options(self, options: tuple[str, ...]) -> Coding:
        """The same with options of the library."""
        settings = ", ".join((self.settings, *options))
        return replace(self, settings=settings, library_options=options)

    def open(self, size: Size, *, frame_rate: Fraction, target_bps: int) -> ClipEncoder:
        """Open it for one clip; ConfigError for a rate out of its range, CodecError."""
        match self.name:
            case "h264" | "x264-veryfast" | "x264-medium":
                return _ProductEncoder(
                    H264Settings(
                        size=size,
                        target_bitrate_bps=target_bps,
                        frame_rate=float(frame_rate),
                        preset="auto" if self.is_small else self.name.partition("-")[2],
                        library_options=self.library_options,
                    )
                )
            case "av1" | "sender-av1":
                return _ProductEncoder(
                    AV1Settings(
                        size=size,
                        target_bitrate_bps=target_bps,
                        frame_rate=float(frame_rate),
                        library_options=self.library_options,
                    )
                )
            case "svtav1-p10" | "svtav1-p8":
                options = _svt_av1_options(self.name.rpartition("p")[2])
                return _LibraryEncoder("libsvtav1", size, frame_rate, target_bps, options)
            case "x265-superfast":
                options = _x265_options("superfast", target_bps)
                return _LibraryEncoder("libx265", size, frame_rate, target_bps, options)
            case _:
                raise ConfigError(f"unknown coding {self.name}")


_BUFFER_MS = round(1000 * VBV_SECONDS)

_X264 = (
    f"the sender's own encoder (libx264), zerolatency, VBV {_BUFFER_MS} ms, psy and AQ off, "
    "one thread"
)

_AV1 = (
    "the sender's own encoder (SVT-AV1, low delay: pred-struct 1, lookahead 0, aq-mode 0, "
    "hierarchical-levels 2) with its own rate control, a quantiser for each frame, one thread"
)


def _svt_av1_parameters() -> str:
    parameters = {
        "rc": "2",
        "pred-struct": "1",
        "lookahead": "0",
        "rtc": "1",
        "scd": "0",
        "keyint": "-1",
        "buf-sz": str(_BUFFER_MS),
        "buf-initial-sz": str(_BUFFER_MS * 3 // 5),
        "buf-optimal-sz": str(_BUFFER_MS * 3 // 5),
        "lp": "1",
    }
    return ":".join(f"{key}={value}" for key, value in parameters.items())


_SVT_AV1 = f"its own rate control: {_svt_av1_parameters()}"

SMALL_CODINGS = (
    Coding(
        name="h264",
        codec="h264",
        settings=f"{_X264}; preset medium, faster above 640x360 at 30 frames/s",
        is_small=True,
    ),
    Coding(
        name="av1",
        codec="av1",
        settings=f"{_AV1}; preset by picture size and rate, from 4 up to 320x180 to 10 for HD",
        is_small=True,
    ),
)
"""What the sender can code the small picture with."""

DIRECT_CODINGS = (
    Coding(name="x264-veryfast", codec="h264", settings=f"{_X264}, preset veryfast"),
    Coding(name="x264-medium", codec="h264", settings=f"{_X264}, preset medium"),
    Coding(
        name="svtav1-p10",
        codec="av1",
        settings=f"SVT-AV1 preset 10, rtc, low delay, CBR, {_SVT_AV1}",
    ),
    Coding(
        name="svtav1-p8",
        codec="av1",
        settings=f"SVT-AV1 preset 8, rtc, low delay, CBR, {_SVT_AV1}",
    ),
    Coding(name="sender-av1", codec="av1", settings=f"{_AV1}; preset 10"),
    Coding(
        name="x265-superfast",
        codec="hevc",
        settings=f"x265 superfast, zerolatency, VBV {_BUFFER_MS} ms, psy off",
    ),
)
"""What the full picture is coded with instead.

H.264 by the sender's encoder, whose own rate control only helps it: libx264 by itself with the same
buffer shows 0.0 to 0.5 dB less at the same bits (720p, `veryfast`, 110 to 920 kb/s, much motion).
"""

OPTIONAL_CODING = "x265-superfast"
"""Compared only where it keeps real time."""


def small_coding(name: str) -> Coding:
    """The coding of the small picture called `name`; ConfigError with those there are."""
    for coding in SMALL_CODINGS:
        if coding.name == name:
            return coding
    known = ", ".join(coding.name for coding in SMALL_CODINGS)
    raise ConfigError(f"the sender has no codec {name!r}; known: {known}")


def _svt_av1_options(preset: str) -> dict[str, str]:
    return {"preset": preset, "svtav1-params": _svt_av1_parameters()}


def _x265_options(preset: str, target_bps: int) -> dict[str, str]:
    kilobits = max(1, target_bps // 1000)
    parameters = (
        "log-level=none:keyint=-1:scenecut=0:frame-threads=1:pools=1:psy-rd=0:psy-rdoq=0"
        f":vbv-maxrate={kilobits}:vbv-bufsize={max(1, round(kilobits * VBV_SECONDS))}"
    )
    return {
        "preset": preset,
        "tune": "zerolatency",
        "forced-idr": "1",
        "x265-params": parameters,
    }


class _ProductEncoder:
    """A `VideoEncoder` of the sender."""

    def __init__(self, settings: CodecSettings) -> None:
        self._encoder = open_video_encoder(settings)

    def encode(self, frame: Frame, *, force_keyframe: bool) -> tuple[bytes, bool]:
        unit = self._encoder.encode(frame, force_keyframe=force_keyframe)
        return unit.data, unit.is_keyframe

    def close(self) -> None:
        self._encoder.close()


class _LibraryEncoder:
    """An encoder that PyAV brings and the sender does not use."""

    def __init__(
        self,
        library: str,
        size: Size,
        frame_rate: Fraction,
        target_bps: int,
        options: dict[str, str],
    ) -> None:
        self._library = library
        os.environ.setdefault("SVT_LOG", "1")  # errors only: it reports every opening otherwise
        try:
            context = av.CodecContext.create(library, "w")
            assert isinstance(context, VideoCodecContext)
            context.width, context.height = size.width, size.height
            context.pix_fmt = "yuv420p"
            context.framerate = frame_rate
            context.time_base = TIME_BASE
            context.bit_rate = target_bps
            context.options = options
            with ordinary_threads():
                context.open()
        except (av.FFmpegError, ValueError) as error:
            raise CodecError(f"{library} cannot be opened for {size}: {error}") from error
        self._context = context

    def encode(self, frame: Frame, *, force_keyframe: bool) -> tuple[bytes, bool]:
        picture = frame_to_av(frame)
        picture.pict_type = PictureType.I if force_keyframe else PictureType.NONE
        try:
            packets = self._context.encode(picture)
        except av.FFmpegError as error:
            raise CodecError(f"{self._library} refused a frame: {error}") from error
        if len(packets) != 1:
            raise CodecError(f"{self._library} returned {len(packets)} access units for one frame")
        return bytes(packets[0]), packets[0].is_keyframe

    def close(self) -> None:
        with contextlib.suppress(av.FFmpegError):
            self._context.encode(None)  # SVT-AV1 complains on standard error when it is not asked
        del self._context
