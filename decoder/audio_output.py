"""Compression of sound for sinks: AAC where players expect it, Opus in Matroska."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from numpy.typing import NDArray

from stream.audio import SAMPLE_RATE_HZ
from stream.errors import CodecError

AudioCodecName = Literal["aac", "libopus"]

BITRATE_BPS = 128_000
"""Transparent for stereo speech and music in both codecs."""


class AudioOutput:
    """One stereo 48 kHz track of a container; samples are numbered from 0 without holes."""

    def __init__(
        self, container: OutputContainer, *, codec: AudioCodecName, global_header: bool
    ) -> None:
        """Add the track to `container`, whose header must not be written yet.

        Raises CodecError when the codec is missing or does not fit the container.
        """
        self._codec = codec
        self._position = 0
        self._priming_dropped = codec != "aac"
        try:
            self._stream: AudioStream = container.add_stream(
                codec, rate=SAMPLE_RATE_HZ, bit_rate=BITRATE_BPS, layout="stereo"
            )
            if global_header:
                self._stream.codec_context.flags |= av.codec.context.Flags.global_header
        except (av.FFmpegError, ValueError) as error:
            raise CodecError(f"audio codec {codec} cannot be used: {error}") from error

    def encode(self, samples: NDArray[np.int16]) -> list[av.Packet[AudioStream]]:
        """Append int16 (n, 2) samples right after those before. Raises CodecError."""
        sound = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples).reshape(1, -1), format="s16", layout="stereo"
        )
        sound.sample_rate = SAMPLE_RATE_HZ
        sound.time_base = Fraction(1, SAMPLE_RATE_HZ)
        sound.pts = self._position
        self._position += len(samples)
        return self._encode(sound)

    def flush(self) -> list[av.Packet[AudioStream]]:
        """The last, partly filled frame; nothing may be encoded afterwards."""
        return self._encode(None)

    def _encode(self, sound: av.AudioFrame | None) -> list[av.Packet[AudioStream]]:
        try:
            packets = list(self._stream.encode(sound))
        except av.FFmpegError as error:
            raise CodecError(f"audio codec {self._codec} failed: {error}") from error
        if packets and not self._priming_dropped:
            # AAC's first packet lies before time 0 and only primes the decoder; muxers that cannot
            # say so move the whole programme by its 21 ms. Without it the first 21 ms fade in.
            self._priming_dropped = True
            return packets[1:]
        return packets
