"""The sending end's media tracks: from a buffer of frames or sound into an aiortc sender."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiortc import MediaStreamTrack, RTCRtpSender
from aiortc.mediastreams import MediaStreamError

from stream.audio import SAMPLE_RATE_HZ, AudioChunk
from stream.audio_framing import AudioFramer
from stream.buffer import BufferClosed, LatestBuffer
from stream.errors import ConfigError
from stream.frame import CLOCK_HZ, Frame
from stream.sending_codecs import (
    OPUS_FRAME_SAMPLES,
    AudioCarrier,
    FrameEncoder,
    SendCounters,
    VideoCarrier,
)

MIN_AUDIO_BPS = 24_000
MAX_AUDIO_BPS = 64_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingVideo:
    """What to send: frames from `source`, compressed by `encoder` into one of `codecs`.

    codecs: what `encoder` can make, in order of preference, in lower case. start_bps, max_bps: bits
    a second of its RTP packets to begin with, and the most that it ever uses.
    """

    source: LatestBuffer[Frame]
    encoder: FrameEncoder
    codecs: tuple[str, ...] = ("h264",)
    start_bps: int = 300_000
    max_bps: int = 5_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingAudio:
    """Sound to send as Opus. Raises ConfigError outside MIN_AUDIO_BPS..MAX_AUDIO_BPS."""

    source: LatestBuffer[AudioChunk]
    bitrate_bps: int = 32_000

    def __post_init__(self) -> None:
        if not MIN_AUDIO_BPS <= self.bitrate_bps <= MAX_AUDIO_BPS:
            raise ConfigError(
                f"the audio bitrate must be {MIN_AUDIO_BPS}..{MAX_AUDIO_BPS} bits a second, "
                f"got {self.bitrate_bps}"
            )


class VideoTrack(MediaStreamTrack):
    """Hands each frame to aiortc together with the encoder that is to compress it."""

    kind = "video"
    clock_hz = CLOCK_HZ

    def __init__(self, video: SendingVideo, counters: SendCounters) -> None:
        super().__init__()
        self._video = video
        self._counters = counters

    async def recv(self) -> VideoCarrier:
        """The next frame; raises MediaStreamError (what aiortc expects) at the end."""
        carrier = VideoCarrier()
        try:
            carrier.media = await self._video.source.get_async()
        except BufferClosed as end:
            raise MediaStreamError from end
        carrier.encoder = self._video.encoder
        carrier.counters = self._counters
        return carrier


class AudioTrack(MediaStreamTrack):
    """Hands 20 ms of sound at a time to aiortc."""

    kind = "audio"
    clock_hz = SAMPLE_RATE_HZ

    def __init__(self, audio: SendingAudio, counters: SendCounters) -> None:
        super().__init__()
        self._audio = audio
        self._counters = counters
        self._framer = AudioFramer(OPUS_FRAME_SAMPLES)
        self._ready: deque[AudioChunk] = deque()

    async def recv(self) -> AudioCarrier:
        """The next 20 ms; raises MediaStreamError (what aiortc expects) at the end."""
        while not self._ready:
            try:
                self._ready.extend(self._framer.push(await self._audio.source.get_async()))
            except BufferClosed as end:
                raise MediaStreamError from end
        carrier = AudioCarrier()
        carrier.media = self._ready.popleft()
        carrier.bitrate_bps = self._audio.bitrate_bps
        carrier.counters = self._counters
        return carrier


class ReportClock:
    """NTP times for the sender reports of all tracks of one peer, from their common pts."""

    def __init__(self, ntp_now: Callable[[], int]) -> None:
        self._ntp_now = ntp_now
        self._zero: int | None = None

    def ntp(self, pts: int, *, clock_hz: int) -> int:
        """64-bit NTP time (32.32 fixed point) of a pts; the first one asked for is now."""
        elapsed = (pts << 32) // clock_hz
        if self._zero is None:
            self._zero = self._ntp_now() - elapsed
        return (self._zero + elapsed) % (1 << 64)


def report_media_time(sender: RTCRtpSender, *, clock_hz: int, clock: ReportClock) -> None:
    """Make the sender reports of `sender` say when a frame belongs, not when it was sent.

    aiortc stamps them when the last packet leaves, so encoding and queueing time of picture and
    sound, which differ, would end up in lip sync. By the time it asks for the next frame all
    packets of the last one have left, and its report fields can be put right.
    """
    next_encoded_frame = sender._next_encoded_frame
    last_pts: int | None = None

    async def next_frame(codec: Any) -> Any:  # noqa: ANN401 (both are aiortc's private affair)
        nonlocal last_pts
        if last_pts is not None:
            vars(sender)["_RTCRtpSender__ntp_timestamp"] = clock.ntp(last_pts, clock_hz=clock_hz)
        encoded = await next_encoded_frame(codec)
        if encoded is not None:
            last_pts = encoded.timestamp
        return encoded

    vars(sender)["_next_encoded_frame"] = next_frame
