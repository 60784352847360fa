"""H.264 for people who watch now: constant quality with a limit, no delay, keyframes on request."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import av.error
from av.video.frame import PictureType

from stream.errors import CodecError
from stream.frame import Colour, Frame, Size
from stream.frame_av import TIME_BASE, frame_to_av

SMALLEST_SHARE = 0.1
"""Of the limit at 1280x720: small pictures need more bits for each of their samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveQuality:
    """How pictures are compressed.

    crf: constant rate factor of x264. max_bps_720p: limit at 1280x720, in proportion elsewhere.
    """

    crf: int
    max_bps_720p: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessUnit:
    """data: Annex B, empty when x264 has nothing for the frame."""

    data: bytes
    is_keyframe: bool


class LiveH264:
    """libx264 on one thread; a frame of another size or colour starts a new stream."""

    def __init__(
        self,
        quality: LiveQuality,
        *,
        frame_rate: float,
        profile: str = "baseline",
        keyframe_interval_s: float | None = None,
    ) -> None:
        """frame_rate: what the limit is spread over; others change only its scale.

        profile: x264's name of it. keyframe_interval_s: None for none but those asked for.
        """
        self._quality, self._frame_rate, self._profile = quality, frame_rate, profile
        self._keyframe_interval_s = keyframe_interval_s
        self._context: av.VideoCodecContext | None = None
        self._opened_for: tuple[Size, Colour] | None = None

    def encode(self, frame: Frame, *, force_keyframe: bool) -> AccessUnit:
        """Compress a frame, with parameter sets where a keyframe is. Raises CodecError."""
        try:
            if self._context is None or self._opened_for != (frame.size, frame.colour):
                self._context = self._open(frame)
                self._opened_for = frame.size, frame.colour
            picture = frame_to_av(frame)
            picture.pict_type = PictureType.I if force_keyframe else PictureType.NONE
            packets = self._context.encode(picture)
        except (av.error.FFmpegError, ValueError) as error:
            self._context = None
            raise CodecError(f"libx264 failed: {error}") from error
        return AccessUnit(
            data=b"".join(map(bytes, packets)),
            is_keyframe=any(packet.is_keyframe for packet in packets),
        )

    def close(self) -> None:
        """Free the codec; the next frame opens another one."""
        self._context = None

    def _open(self, frame: Frame) -> av.VideoCodecContext:
        context = av.CodecContext.create("libx264", "w")
        context.width, context.height = frame.size.width, frame.size.height
        context.pix_fmt = "yuv420p"
        context.time_base = TIME_BASE
        context.framerate = Fraction(self._frame_rate).limit_denominator(1001)
        context.thread_count = 1
        context.color_range = 1  # limited (AVCOL_RANGE_MPEG)
        context.color_primaries = frame.colour.primaries
        context.color_trc = frame.colour.transfer
        context.colorspace = frame.colour.matrix
        share = frame.size.width * frame.size.height / (1280 * 720)
        limit_bps = str(round(self._quality.max_bps_720p * max(SMALLEST_SHARE, share)))
        keyint = "infinite"
        if self._keyframe_interval_s is not None:
            keyint = str(max(1, round(self._keyframe_interval_s * self._frame_rate)))
        context.options = {
            "preset": "superfast",  # see decoder.video_output for its cost
            "profile": self._profile,
            "crf": str(self._quality.crf),
            "maxrate": limit_bps,
            "bufsize": limit_bps,
            "forced-idr": "1",
            "bf": "0",
            "x264-params": (
                f"keyint={keyint}:scenecut=0:rc-lookahead=0:sync-lookahead=0:sliced-threads=0"
                ":force-cfr=1:repeat-headers=1"
            ),
        }
        context.open()
        return context
