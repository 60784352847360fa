"""One session's video compression: codec, rate and keyframes, frame by frame."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from encoder.codec_choice import settings_for
from encoder.effort_meter import EffortMeter
from encoder.rate_control import PathReport, RateController
from encoder.speed_control import SpeedControl
from encoder.video_encoder import CodecSettings, VideoEncoder, open_video_encoder
from stream.errors import EdvrError
from stream.frame import Frame, Size
from stream.scene_cut import SceneCutDetector
from stream.sending_codecs import NegotiatedCodec
from stream.stats import Percentiles, RateMeter

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeCounts:
    """What was encoded so far, and the rate last asked of the codec (bits a second)."""

    frames: int = 0
    coded_bytes: int = 0
    keyframes: int = 0
    target_bps: int = 0


class LiveEncoder:
    """A `stream.sending_codecs.FrameEncoder`: opens the codec that was negotiated and drives it.

    The picture size may change from one frame to the next; the codec is then opened again.
    """

    def __init__(
        self,
        rate: RateController,
        *,
        frame_rate: float,
        preset: str,
        intra_refresh: bool,
        clock_ms: Callable[[], float] = lambda: 1000 * time.monotonic(),
    ) -> None:
        self._rate, self._frame_rate, self._clock_ms = rate, frame_rate, clock_ms
        self._preset, self._intra_refresh = preset, intra_refresh
        self._codec: VideoEncoder | None = None
        self._size: Size | None = None
        self._settings: CodecSettings | None = None
        self._cuts = SceneCutDetector()
        self._lock = threading.Lock()
        self._counts = EncodeCounts()
        self._packets_lost = 0
        self._rtt_ms: float | None = None
        self._link_bps: int | None = None
        self._sent = RateMeter()
        self._efforts = EffortMeter()
        self._speed = SpeedControl(frame_interval_ms=1000 / frame_rate)
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
        started_ms = self._clock_ms()
        with self._lock:
            path = PathReport(
                estimate_bps=remote_estimate_bps,
                packets_lost=self._packets_lost,
                rtt_ms=self._rtt_ms,
                sent_bps=self._sent.rate_bps(now_ms=started_ms),
                link_bps=self._link_bps,
            )
        target_bps = self._rate.codec_bitrate_bps(
            path, frame_rate=self._frame_rate, now_ms=started_ms
        )
        if self._codec is None or frame.size != self._size:
            self._codec = self._reopened(frame.size, codec, target_bps)
        self._codec.target_bitrate_bps = target_bps
        is_cut = self._cuts.push(frame)
        if is_cut:
            _log.debug("scene cut: sending a keyframe")
        elif force_keyframe and self._counts.frames:
            _log.debug("the other end asked for a keyframe")
        try:
            coded = self._codec.encode(frame, force_keyframe=force_keyframe or is_cut)
        except EdvrError:
            self._codec.close()  # whatever state it is in: the next frame starts afresh
            self._codec = None
            raise
        self._note_time(self._clock_ms() - started_ms, now_ms=started_ms)
        with self._lock:
            self._sent.add(len(coded.data), now_ms=started_ms)
            if coded.mse is not None:
                self._efforts.add(
                    coded.mse, size=frame.size, bitrate_bps=target_bps, now_ms=started_ms
                )
            self._counts = EncodeCounts(
                frames=self._counts.frames + 1,
                coded_bytes=self._counts.coded_bytes + len(coded.data),
                keyframes=self._counts.keyframes + coded.is_keyframe,
                target_bps=target_bps,
            )
        return coded.data

    @property
    def counts(self) -> EncodeCounts:
        """A snapshot; callable from any thread."""
        with self._lock:
            return self._counts

    @property
    def settings(self) -> CodecSettings | None:
        """Those that the codec was last opened with; None before. Callable from any thread."""
        with self._lock:
            return self._settings

    @property
    def effort(self) -> tuple[Size, float] | None:
        """See `EffortMeter.effort`. Callable from any thread."""
        with self._lock:
            return self._efforts.effort

    def note_path(
        self, *, packets_lost: int, rtt_ms: float | None, link_bps: int | None = None
    ) -> None:
        """Tell what is known of the path (see `PathReport`); from any thread."""
        with self._lock:
            self._packets_lost, self._rtt_ms, self._link_bps = packets_lost, rtt_ms, link_bps

    def _note_time(self, encode_ms: float, *, now_ms: float) -> None:
        """Whoever chose a preset keeps it; otherwise it follows the speed of the machine."""
        self.encode_ms.add(encode_ms)
        if self._preset != "auto" or not self._speed.note(encode_ms, now_ms=now_ms):
            return
        _log.info("speed of this machine: preset %d steps faster than planned", self._speed.steps)
        if self._codec is not None:
            self._codec.be_faster(self._speed.steps)

    def _reopened(self, size: Size, codec: NegotiatedCodec, target_bps: int) -> VideoEncoder:
        if self._codec is not None:
            self._codec.close()
            self._codec = None
        settings = settings_for(
            codec,
            size=size,
            target_bps=target_bps,
            frame_rate=self._frame_rate,
            preset=self._preset,
            intra_refresh=self._intra_refresh,
        )
        opened = open_video_encoder(settings)
        opened.be_faster(self._speed.steps)
        self._size = size
        with self._lock:
            self._settings = settings
        return opened
