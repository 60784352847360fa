"""What every compressed sink shares: an H.264 track and maybe sound in an FFmpeg container."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import IOBase
from types import MappingProxyType

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from decoder.audio_output import AudioCodecName, AudioOutput
from decoder.sinks.timeline import Timeline
from decoder.video_output import VideoOutput, VideoOutputConfig, exact_rate
from stream.audio import AudioChunk
from stream.errors import EdvrError, PeerError, SinkError
from stream.frame import CLOCK_HZ, Frame, Size

_AUDIO_WAIT = CLOCK_HZ
"""1 s of video: how long the header waits for the first sound before the file goes without."""

_EARLY_CHUNKS = 500
"""Sound kept while the first frame is still being restored: 10 s of Opus packets of 20 ms."""

_LONGEST_INTERLEAVE_US = 1_000_000
"""How long FFmpeg may hold one track's packets back for the other's, so a dead track costs 1 s."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MuxSettings:
    """How one kind of sink uses FFmpeg's muxers.

    name: the sink's name for logs. muxer, options: libavformat's. parameter_sets_in_header: as
    the innermost format wants them. failure: what an output error means to the caller.
    """

    name: str
    muxer: str
    audio_codec: AudioCodecName
    parameter_sets_in_header: bool
    failure: type[SinkError | PeerError] = SinkError
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    video: VideoOutputConfig = field(default_factory=VideoOutputConfig)


class MuxedSink:
    """Compresses and multiplexes; see `decoder.sink.Sink` for the contract.

    The sound track must be declared in the header. So the header is written when the first sound
    has come or after 1 s of video, whichever is first, and sound that comes later than that is
    dropped with one line in the log.
    """

    def __init__(
        self,
        settings: MuxSettings,
        destination: str | IOBase,
        *,
        size: Size,
        frame_rate: float,
        with_audio: bool,
    ) -> None:
        """Prepare; `destination` (path, URL or an open binary file) is touched by the header."""
        self._settings = settings
        self._destination = destination
        self._size = size
        self._frame_rate = frame_rate
        self._awaits_audio = with_audio
        self._timeline = Timeline(frame_duration=round(CLOCK_HZ / exact_rate(frame_rate)))
        self._early_audio: deque[AudioChunk] = deque(maxlen=_EARLY_CHUNKS)
        self._early_packets: list[av.Packet[VideoStream]] = []
        self._container: av.container.OutputContainer | None = None
        self._video: VideoOutput | None = None
        self._audio: AudioOutput | None = None
        self._has_header = False
        self._has_failed = False
        self._is_closed = False
        self._bytes_written = 0

    @property
    def name(self) -> str:
        """The target, without secrets."""
        return self._settings.name

    @property
    def bytes_written(self) -> int:
        """Compressed bytes of both tracks handed to the muxer."""
        return self._bytes_written

    def write_video(self, frame: Frame) -> bool:
        """Compress and write a frame; False when its time has passed already."""
        pts = self._timeline.place_video(frame.pts)
        if pts is None:
            return False
        if self._video is None:
            self._video = self._add_video(frame)
        packets = self._video.encode(frame, pts=pts)
        if self._has_header:
            self._write(packets)
            return True
        self._early_packets += packets
        if not self._awaits_audio or self._early_audio or pts >= _AUDIO_WAIT:
            self._write_header()
        return True

    def write_audio(self, chunk: AudioChunk) -> None:
        """Compress and write sound at its place; what overlaps is cut, what is missing silence."""
        if not self._awaits_audio:
            return
        if not self._has_header:
            self._early_audio.append(chunk)
            if self._timeline.has_started:
                self._write_header()
        elif self._audio is None:
            self._awaits_audio = False
            _log.warning("%s: sound came after the header was written; left out", self.name)
        else:
            samples = self._timeline.place_audio(chunk)
            if samples is not None:
                self._write(self._audio.encode(samples))

    def close(self) -> None:
        """Write what is held back and finish the container.

        Raises the sink's failure when that does not work; the medium is released in any case.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._video is not None and not self._has_failed:
                self._finish()
        finally:
            self._close_container()

    def _finish(self) -> None:
        if not self._has_header:
            self._write_header()
        for track in (self._video, self._audio):
            if track is not None:
                self._write(track.flush())

    def _close_container(self) -> None:
        if self._container is None:
            return
        try:
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            if not self._has_failed:  # else this only repeats what the caller knows
                raise self.failure(error) from error

    def _add_video(self, first: Frame) -> VideoOutput:
        options = {"max_interleave_delta": str(_LONGEST_INTERLEAVE_US), "flush_packets": "1"}
        try:
            self._container = av.open(
                self._destination,
                "w",
                format=self._settings.muxer,
                container_options=options | dict(self._settings.options),
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self.failure(error) from error
        return VideoOutput(
            self._container,
            size=self._size,
            frame_rate=self._frame_rate,
            colour=first.colour,
            global_header=self._settings.parameter_sets_in_header,
            config=self._settings.video,
        )

    def _write_header(self) -> None:
        assert self._container is not None  # write_video made it; tells mypy
        if self._early_audio:
            self._audio = AudioOutput(
                self._container,
                codec=self._settings.audio_codec,
                global_header=self._settings.parameter_sets_in_header,
            )
        try:
            self._container.start_encoding()
        except (av.FFmpegError, OSError) as error:
            raise self.failure(error) from error
        self._has_header = True
        packets, self._early_packets = self._early_packets, []
        self._write(packets)
        while self._early_audio:
            self.write_audio(self._early_audio.popleft())

    def _write(
        self, packets: Sequence[av.Packet[VideoStream]] | Sequence[av.Packet[AudioStream]]
    ) -> None:
        assert self._container is not None  # a header implies it; tells mypy
        try:
            for packet in packets:
                size_bytes = packet.size
                self._container.mux(packet)
                self._bytes_written += size_bytes
        except (av.FFmpegError, OSError) as error:
            raise self.failure(error) from error

    def failure(self, error: Exception) -> EdvrError:
        """What an error of the medium means to the caller."""
        self._has_failed = True
        # Only the reason: FFmpeg appends the URL, and a push URL ends in a secret.
        reason = getattr(error, "strerror", None) or type(error).__name__
        return self._settings.failure(f"{self.name} stopped: {reason}")
