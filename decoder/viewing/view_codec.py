"""Compression for viewers: H.264 and Opus that every browser plays, as RTP payloads."""

from __future__ import annotations

from decoder.live_av1 import LiveAV1
from decoder.live_h264 import LiveH264, LiveQuality
from stream.audio import AudioChunk
from stream.audio_framing import AudioFramer
from stream.coded_media import CodedUnit
from stream.frame import Frame
from stream.payload_formats import PayloadCutter
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


RESTORED = LiveQuality(crf=21, max_bps_720p=5_000_000)
"""Keeps what was restored; a cap, since viewers' links have one."""

RECEIVED = LiveQuality(crf=14, max_bps_720p=16_000_000)
"""As good as untouched, until the very bits of the publisher can be passed on."""


class ViewVideo:
    """One stream of pictures without delay, with keyframes only where asked for.

    H.264 is in Constrained Baseline profile, which all profiles include. Belongs to one thread.
    """

    def __init__(self, quality: LiveQuality, codec: str = "h264") -> None:
        """codec: h264 or av1."""
        self._codec = codec
        self._video: LiveH264 | LiveAV1
        if codec == "av1":
            self._video = LiveAV1(quality, frame_rate=NOMINAL_FPS)
        else:
            self._video = LiveH264(quality, frame_rate=NOMINAL_FPS)
        self._cutter = PayloadCutter(codec)

    def encode(self, frame: Frame, *, force_keyframe: bool) -> CodedUnit | None:
        """One access unit; None when the codec has nothing for this frame.

        The first frame, and one of another size, is a keyframe in any case. Raises CodecError.
        """
        unit = self._video.encode(frame, force_keyframe=force_keyframe)
        if not unit.data:
            return None
        return CodedUnit(
            track=Track.VIDEO,
            codec=self._codec,
            payloads=tuple(self._cutter.cut(unit.data)),
            pts=frame.pts,
            is_keyframe=unit.is_keyframe,
        )

    def close(self) -> None:
        """Free the codec."""
        self._video.close()


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
