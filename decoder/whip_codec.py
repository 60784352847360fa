"""Compression of restored pictures for another WebRTC server: H.264 as it was negotiated."""

from __future__ import annotations

from decoder.live_h264 import LiveH264, LiveQuality
from stream.errors import CodecError
from stream.frame import Frame
from stream.sending_codecs import NegotiatedCodec

MAX_BITRATE_BPS = 4_000_000
"""At 1280x720, in proportion elsewhere: viewers of an SFU get these very bits."""

KEYFRAME_INTERVAL_S = 2
"""Media servers that make HLS of it cut segments there, and late viewers wait no longer; SFUs ask
for more by PLI."""

_QUALITY = LiveQuality(crf=20, max_bps_720p=MAX_BITRATE_BPS)

_PROFILES = {"64": "high", "4d": "main", "42": "baseline"}
"""First byte of profile-level-id (RFC 6184 section 8.1)."""


class WhipVideoEncoder:
    """A `stream.sending_codecs.FrameEncoder`, for one session."""

    def __init__(self, *, frame_rate: float) -> None:
        self._frame_rate = frame_rate
        self._video: LiveH264 | None = None

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
        if codec.name != "h264":
            raise CodecError(f"no encoder for {codec.name}")
        if self._video is None:
            profile_byte = (codec.profile_level_id or "42")[:2].lower()
            self._video = LiveH264(
                _QUALITY,
                frame_rate=self._frame_rate,
                profile=_PROFILES.get(profile_byte, "baseline"),
                keyframe_interval_s=KEYFRAME_INTERVAL_S,
            )
        return self._video.encode(frame, force_keyframe=force_keyframe).data
