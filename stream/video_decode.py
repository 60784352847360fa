"""Video decoding at the receiving end: coded frames in, `Frame`s out with no frame of delay."""

from __future__ import annotations

from typing import cast

import av
import av.error
from av.codec.context import Flags

from stream import av1_quantiser, h264_quantiser, rtp_av1
from stream.errors import CodecError, FrameError, PeerError
from stream.frame import Frame
from stream.frame_av import frame_from_av
from stream.jitter_buffer import CodedFrame

# codec name -> the decoder of FFmpeg to use
_LIBRARY_NAMES = {"av1": "libdav1d", "h264": "h264", "vp8": "vp8", "vp9": "vp9"}
_FRAMES_INSIDE = 32  # far above what any decoder holds back; bounds the table of what went in


class VideoDecoder:
    """Decodes one RTP video stream; belongs to one thread.

    codec: "av1", "h264", "vp9" or "vp8". Raises CodecError when the decoder cannot be opened.
    """

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._quantiser: av1_quantiser.QuantiserReader | h264_quantiser.QuantiserReader | None
        match codec:
            case "av1":
                self._quantiser = av1_quantiser.QuantiserReader()
            case "h264":
                self._quantiser = h264_quantiser.QuantiserReader()
            case _:
                self._quantiser = None
        self._inside: dict[int, tuple[CodedFrame, float | None]] = {}
        self._count = 0
        self._is_damaged = False
        try:
            context = av.CodecContext.create(_LIBRARY_NAMES[codec], "r")
            self._context = cast(av.VideoCodecContext, context)
            # Frame threads hold back one frame each; one thread decodes 360p in 1 to 2 ms.
            self._context.thread_count = 1
            self._context.flags |= Flags.low_delay
        except (KeyError, av.error.FFmpegError, ValueError) as error:
            raise CodecError(f"cannot open a decoder for {codec}: {error}") from error

    def decode(self, coded: CodedFrame) -> list[Frame]:
        """The pictures that `coded` completes (one, or none from a frame that is not shown).

        `Frame.pts` is the raw RTP timestamp: the caller puts it on its clock.
        Raises CodecError when the decoder refuses the data; it can go on with the next frame,
        but what comes out is marked damaged until a keyframe.
        """
        access_unit = self._access_unit(coded)
        quantiser = self._quantiser.read(access_unit) if self._quantiser else None
        packet = av.Packet(access_unit)
        packet.pts = self._count
        self._inside[self._count] = (coded, quantiser)
        self._inside.pop(self._count - _FRAMES_INSIDE, None)
        self._count += 1
        try:
            return [
                self._frame(picture, *self._inside.pop(picture.pts or 0, (coded, quantiser)))
                for picture in self._context.decode(packet)
            ]
        except (av.error.FFmpegError, FrameError) as error:
            self._is_damaged = True
            raise CodecError(f"{self._codec} frame cannot be decoded: {error}") from error

    def _access_unit(self, coded: CodedFrame) -> bytes:
        if self._codec != "av1":
            return coded.data
        try:
            return rtp_av1.assemble(coded.data)
        except PeerError as error:
            self._is_damaged = True
            raise CodecError(str(error)) from error

    def _frame(self, picture: av.VideoFrame, coded: CodedFrame, quantiser: float | None) -> Frame:
        if picture.key_frame:
            self._is_damaged = False
        self._is_damaged |= coded.after_loss or picture.is_corrupt
        return frame_from_av(
            _as_420(picture),
            pts=coded.timestamp,
            quantiser=quantiser,
            is_keyframe=bool(picture.key_frame),
            is_damaged=self._is_damaged,
            entered_ms=coded.arrived_ms,
        )


def _as_420(picture: av.VideoFrame) -> av.VideoFrame:
    """Profiles beyond what WebRTC negotiates (High 10, 4:2:2, 4:4:4) as 8-bit 4:2:0."""
    if picture.format.name in ("yuv420p", "yuvj420p"):
        return picture
    return picture.reformat(format="yuv420p")
