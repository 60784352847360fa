"""Compression of restored pictures for another WebRTC server: H.264 as it was negotiated."""

from __future__ import annotations

from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from stream.errors import CodecError
from stream.frame import Colour, Frame, Size
from stream.frame_av import TIME_BASE, frame_to_av
from stream.sending_codecs import NegotiatedCodec

MAX_BITRATE_BPS = 4_000_000
"""At 1280x720, in proportion elsewhere: viewers of an SFU get these very bits."""

KEYFRAME_INTERVAL_S = 2
"""Media servers that make HLS of it cut segments there, and late viewers wait no longer; SFUs ask
for more by PLI."""

_PROFILES = {"64": "high", "4d": "main", "42": "baseline"}
"""First byte of profile-level-id (RFC 6184 section 8.1)."""


class WhipVideoEncoder:
    """A `stream.sending_codecs.FrameEncoder`: libx264 with constant quality and a limit."""

    def __init__(self, *, frame_rate: float) -> None:
        self._frame_rate = frame_rate
        self._context: VideoCodecContext | None = None
        self._opened_for: tuple[Size, Colour] | None = None

    def encode(
        self,
        frame: Frame,
        *,
        codec: NegotiatedCodec,
        force_keyframe: bool,
        remote_estimate_bps: int | None,
    ) -> bytes:
        """One access unit; see `FrameEncoder.encode`. The estimate is not followed: quality is what
        this output is for, and servers sit on links that carry it.
        """
        try:
            if self._context is None or self._opened_for != (frame.size, frame.colour):
                self._context = self._open(frame, codec)
                self._opened_for = frame.size, frame.colour
            picture = frame_to_av(frame)
            picture.pict_type = PictureType.I if force_keyframe else PictureType.NONE
            return b"".join(bytes(packet) for packet in self._context.encode(picture))
        except (av.FFmpegError, ValueError) as error:
            self._context = None
            raise CodecError(f"libx264 failed: {error}") from error

    def _open(self, frame: Frame, codec: NegotiatedCodec) -> VideoCodecContext:
        if codec.name != "h264":
            raise CodecError(f"no encoder for {codec.name}")
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
        limit_bps = str(round(MAX_BITRATE_BPS * max(0.1, share)))
        profile_byte = (codec.profile_level_id or "42")[:2].lower()
        context.options = {
            "preset": "superfast",  # see decoder.video_output for its cost
            "profile": _PROFILES.get(profile_byte, "baseline"),
            "crf": "20",
            "maxrate": limit_bps,
            "bufsize": limit_bps,
            "forced-idr": "1",
            "g": str(max(1, round(KEYFRAME_INTERVAL_S * self._frame_rate))),
            "bf": "0",
            "x264-params": (
                "scenecut=0:rc-lookahead=0:sync-lookahead=0:sliced-threads=0:force-cfr=1"
                ":repeat-headers=1"
            ),
        }
        context.open()
        return context
