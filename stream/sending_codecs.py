"""What aiortc takes for its encoders at the sending end; the real ones come in with each frame.

aiortc makes one encoder for each sender, tells it PLI and FIR as `force_keyframe` and REMB as
`target_bitrate`, and runs it in an executor thread.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, cast

import av
import av.error
import av.frame

from stream.audio import SAMPLE_RATE_HZ, AudioChunk
from stream.errors import EdvrError
from stream.frame import Frame
from stream.payload_formats import PayloadCutter

OPUS_FRAME_SAMPLES = SAMPLE_RATE_HZ // 50
"""20 ms, what every WebRTC peer expects."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NegotiatedCodec:
    """What the two peers agreed on; name is lower case (`h264`), payload_type as in RTP.

    profile_level_id: H.264 profile and level (RFC 6184 section 8.1); None for other codecs.
    """

    name: str
    profile_level_id: str | None
    payload_type: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoAgreement:
    """codec: what is sent. offered: our codecs, best first. accepted: those of the other end, in
    its order, each once. feedback: what its RTCP will tell, as in SDP ("nack pli", "goog-remb").
    """

    codec: NegotiatedCodec
    offered: tuple[str, ...]
    accepted: tuple[str, ...]
    feedback: frozenset[str]


class FrameEncoder(Protocol):
    """Compresses one stream of frames."""

    def encode(
        self,
        frame: Frame,
        *,
        codec: NegotiatedCodec,
        force_keyframe: bool,
        remote_estimate_bps: int | None,
    ) -> bytes:
        """One access unit (H.264: Annex B; AV1: OBUs with sizes); empty to leave the frame out.

        Called from one thread at a time. remote_estimate_bps: what the receiver says fits the
        path (REMB); None until it said so. Raises CodecError to skip the frame.
        """


class SendCounters:
    """What went wrong while sending; written by the codec thread, read by others."""

    def __init__(self) -> None:
        self.encode_errors = 0


class VideoCarrier(av.frame.Frame):  # aiortc encodes nothing but instances of it
    """Takes a frame and its encoder through aiortc."""

    media: Frame
    encoder: FrameEncoder
    counters: SendCounters


class AudioCarrier(av.frame.Frame):  # not an AudioFrame: aiortc would compute a level of it
    """Takes 20 ms of sound through aiortc."""

    media: AudioChunk
    bitrate_bps: int
    counters: SendCounters


class VideoSendEncoder:
    """Calls the carried `FrameEncoder` and cuts its access unit into RTP payloads."""

    def __init__(self, codec: NegotiatedCodec) -> None:
        self._cutter = PayloadCutter(codec.name)
        self._codec = codec
        self._estimate_bps: int | None = None
        self._wants_keyframe = True  # a new peer has nothing to predict from
        self._failed = False

    @property
    def target_bitrate(self) -> int | None:
        """The latest REMB in bits a second; aiortc sets it."""
        return self._estimate_bps

    @target_bitrate.setter
    def target_bitrate(self, bitrate_bps: int) -> None:
        self._estimate_bps = bitrate_bps

    def encode(
        self, frame: av.frame.Frame, force_keyframe: bool = False
    ) -> tuple[list[bytes], int]:
        """RTP payloads and timestamp (1/90000 s); no payloads when the frame is skipped."""
        carrier = cast(VideoCarrier, frame)
        # Asked for until there is one: aiortc forgets the request after one frame.
        self._wants_keyframe |= force_keyframe
        try:
            access_unit = carrier.encoder.encode(
                carrier.media,
                codec=self._codec,
                force_keyframe=self._wants_keyframe,
                remote_estimate_bps=self._estimate_bps,
            )
        except Exception as error:  # whatever it is, it would end aiortc's track without a word
            carrier.counters.encode_errors += 1
            if not self._failed:
                _log.warning("a frame was not sent: %s", error, exc_info=_unexpected(error))
            self._failed = True
            return [], carrier.media.pts
        self._failed = False
        if access_unit:
            self._wants_keyframe = False
        return self._cutter.cut(access_unit), carrier.media.pts


class OpusSendEncoder:
    """Compresses carried sound with libopus."""

    def __init__(self) -> None:
        self._context: av.AudioCodecContext | None = None
        self._failed = False

    def encode(
        self, frame: av.frame.Frame, force_keyframe: bool = False
    ) -> tuple[list[bytes], int]:
        """One RTP payload and its timestamp (1/48000 s); none when libopus refuses the sound."""
        carrier = cast(AudioCarrier, frame)
        chunk = carrier.media
        try:
            if self._context is None:
                self._context = _open_opus(carrier.bitrate_bps)
            packets = self._context.encode(_audio_frame(chunk))
        except av.error.FFmpegError as error:
            carrier.counters.encode_errors += 1
            if not self._failed:
                _log.warning("sound was not sent: %s", error)
            self._failed = True
            return [], chunk.pts
        self._failed = False
        if not packets:
            return [], chunk.pts
        # The encoder's lookahead is in its pts, so that what is decoded falls on the right moment.
        pts = packets[0].pts
        return [bytes(packets[0])], chunk.pts if pts is None else pts


def _open_opus(bitrate_bps: int) -> av.AudioCodecContext:
    context = av.CodecContext.create("libopus", "w")
    context.bit_rate = bitrate_bps
    context.format = "s16"
    context.layout = "stereo"
    context.sample_rate = SAMPLE_RATE_HZ
    context.time_base = Fraction(1, SAMPLE_RATE_HZ)
    # No DTX (libopus' default): a broadcast's silences are part of it.
    context.options = {"application": "audio", "frame_duration": "20", "vbr": "constrained"}
    return context


def _audio_frame(chunk: AudioChunk) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(chunk.samples.reshape(1, -1), format="s16", layout="stereo")
    frame.sample_rate = SAMPLE_RATE_HZ
    frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
    frame.pts = chunk.pts
    return frame


def _unexpected(error: Exception) -> bool:
    return not isinstance(error, EdvrError)
