"""One session's video compression: codec, rate and keyframes, frame by frame."""

from __future__ import annotations

import threading
import time

from encoder.rate_control import RateController
from encoder.scene_cut import SceneCutDetector
from encoder.video_encoder import H264Profile, H264Settings, VideoEncoder, open_video_encoder
from stream.errors import CodecError
from stream.frame import Frame, Size
from stream.sending_codecs import NegotiatedCodec
from stream.stats import Percentiles

_PROFILES: dict[str, H264Profile] = {"64": "high", "4d": "main", "42": "baseline"}
"""First byte of profile-level-id (RFC 6184 section 8.1)."""


class LiveEncoder:
    """A `stream.sending_codecs.FrameEncoder`: opens the codec that was negotiated and drives it.

    The picture size may change from one frame to the next; the codec is then opened again.
    """

    def __init__(
        self, rate: RateController, *, frame_rate: float, preset: str, intra_refresh: bool
    ) -> None:
        self._rate, self._frame_rate = rate, frame_rate
        self._preset, self._intra_refresh = preset, intra_refresh
        self._codec: VideoEncoder | None = None
        self._size: Size | None = None
        self._cuts = SceneCutDetector()
        self._lock = threading.Lock()
        self._frames = self._bytes = self._keyframes = 0
        self._target_bps = 0
        self.encode_ms = Percentiles()

    def encode(
        self,
        frame: Frame,
        *,
        codec: NegotiatedCodec,
        force_keyframe: bool,
        remote_estimate_bps: int | None,
    ) -> bytes:
        """One access unit; see `FrameEncoder.encode`."""
        started = time.perf_counter()
        target_bps = self._rate.codec_bitrate_bps(
            remote_estimate_bps=remote_estimate_bps, frame_rate=self._frame_rate
        )
        if self._codec is None or frame.size != self._size:
            self._open(frame.size, codec, target_bps)
        assert self._codec is not None
        self._codec.target_bitrate_bps = target_bps
        is_cut = self._cuts.push(frame)
        coded = self._codec.encode(frame, force_keyframe=force_keyframe or is_cut)
        self.encode_ms.add(1000 * (time.perf_counter() - started))
        with self._lock:
            self._frames += 1
            self._bytes += len(coded.data)
            self._keyframes += coded.is_keyframe
            self._target_bps = target_bps
        return coded.data

    @property
    def counts(self) -> tuple[int, int, int]:
        """Frames, bytes and keyframes so far; callable from any thread."""
        with self._lock:
            return self._frames, self._bytes, self._keyframes

    @property
    def target_bps(self) -> int:
        """What the codec was last asked to keep; callable from any thread."""
        with self._lock:
            return self._target_bps

    def _open(self, size: Size, codec: NegotiatedCodec, target_bps: int) -> None:
        if codec.name != "h264":
            raise CodecError(f"no encoder for {codec.name}")
        profile = _PROFILES.get((codec.profile_level_id or "42")[:2].lower(), "baseline")
        if self._codec is not None:
            self._codec.close()
        self._codec = open_video_encoder(
            H264Settings(
                size=size,
                target_bitrate_bps=target_bps,
                frame_rate=self._frame_rate,
                profile=profile,
                preset=self._preset,
                intra_refresh=self._intra_refresh,
            )
        )
        self._size = size
