"""Compression for viewers: H.264 and Opus that every browser plays, as RTP payloads."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import av.error
from av.video.frame import PictureType

from stream import rtp_h264
from stream.audio import AudioChunk
from stream.audio_framing import AudioFramer
from stream.coded_media import CodedUnit
from stream.errors import CodecError
from stream.frame import Frame, Size
from stream.frame_av import TIME_BASE, frame_to_av
from stream.sending_codecs import (
    OPUS_FRAME_SAMPLES,
    AudioCarrier,
    OpusSendEncoder,
    SendCounters,
)
from stream.timing import Track

AUDIO_BPS = 96_000
"""Transparent enough for music that came in at less."""

NOMINAL_FPS = 30
"""Rate control spreads `max_bitrate_bps` over so many frames; others change only its scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewQuality:
    """How a picture is compressed for viewers.

    crf: constant rate factor of x264. max_bps_720p: limit at 1280x720, in proportion elsewhere.
    """

    crf: int
    max_bps_720p: int


RESTORED = ViewQuality(crf=21, max_bps_720p=5_000_000)
"""Keeps what was restored; a cap, since viewers' links have one."""

RECEIVED = ViewQuality(crf=14, max_bps_720p=16_000_000)
"""As good as untouched, until the very bits of the publisher can be passed on."""


class ViewVideo:
    """One H.264 stream in Constrained Baseline profile, which all profiles include.

    No delay, and keyframes only where asked for. Belongs to one thread.
    """

    def __init__(self, quality: ViewQuality) -> None:
        self._quality = quality
        self._context: av.VideoCodecContext | None = None
        self._size: Size | None = None

    def encode(self, frame: Frame, *, force_keyframe: bool) -> CodedUnit | None:
        """One access unit; None when x264 has nothing for this frame.

        The first frame, and one of another size, is a keyframe in any case. Raises CodecError.
        """
        starts = frame.size != self._size
        try:
            if self._context is None or starts:
                self._context, self._size = self._open(frame), frame.size
            picture = frame_to_av(frame)
            wants_keyframe = force_keyframe or starts
            picture.pict_type = PictureType.I if wants_keyframe else PictureType.NONE
            packets = self._context.encode(picture)
        except (av.error.FFmpegError, ValueError) as error:
            self._context = self._size = None
            raise CodecError(f"libx264 failed: {error}") from error
        if not packets:
            return None
        return CodedUnit(
            track=Track.VIDEO,
            codec="h264",
            payloads=tuple(rtp_h264.packetize(b"".join(map(bytes, packets)))),
            pts=frame.pts,
            is_keyframe=any(packet.is_keyframe for packet in packets),
        )

    def _open(self, frame: Frame) -> av.VideoCodecContext:
        context = av.CodecContext.create("libx264", "w")
        context.width, context.height = frame.size.width, frame.size.height
        context.pix_fmt = "yuv420p"
        context.time_base = TIME_BASE
        context.framerate = Fraction(NOMINAL_FPS)
        context.thread_count = 1
        context.color_range = 1  # limited (AVCOL_RANGE_MPEG)
        context.color_primaries = frame.colour.primaries
        context.color_trc = frame.colour.transfer
        context.colorspace = frame.colour.matrix
        share = frame.size.width * frame.size.height / (1280 * 720)
        max_bps = round(self._quality.max_bps_720p * max(0.1, share))
        context.options = {
            "preset": "superfast",
            "profile": "baseline",
            "crf": str(self._quality.crf),
            "maxrate": str(max_bps),
            "bufsize": str(max_bps),
            "forced-idr": "1",
            "x264-params": (
                "keyint=infinite:scenecut=0:rc-lookahead=0:sync-lookahead=0:sliced-threads=0"
                ":force-cfr=1"
            ),
        }
        context.open()
        return context


class ViewAudio:
    """One Opus stream. Belongs to one thread."""

    def __init__(self) -> None:
        self._framer = AudioFramer(OPUS_FRAME_SAMPLES)
        self._opus = OpusSendEncoder()
        self._counters = SendCounters()

    def encode(self, chunk: AudioChunk) -> list[CodedUnit]:
        """The packets of 20 ms that `chunk` completes."""
        units = []
        for frame in self._framer.push(chunk):
            carrier = AudioCarrier()
            carrier.media, carrier.counters = frame, self._counters
            carrier.bitrate_bps = AUDIO_BPS
            payloads, pts = self._opus.encode(carrier)
            if payloads:
                units.append(
                    CodedUnit(
                        track=Track.AUDIO,
                        codec="opus",
                        payloads=tuple(payloads),
                        pts=pts,
                        is_keyframe=True,
                    )
                )
        return units
