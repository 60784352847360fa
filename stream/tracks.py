"""The sending end's media tracks: from a buffer of frames or sound into an aiortc sender."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from aiortc import MediaStreamTrack
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
