"""From a demuxer to frames and sound on one clock."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from encoder.audio_normaliser import AudioNormaliser
from encoder.av_input import describe, explain, open_input
from encoder.frame_rate import FrameRateLimiter
from encoder.interleave import Interleaver
from encoder.source_url import SourceAddress
from encoder.timeline import Timeline, Track
from stream.audio import AudioChunk
from stream.errors import ConfigError, EdvrError
from stream.frame import CLOCK_HZ, Frame
from stream.picture_normaliser import PictureNormaliser

FALLBACK_FPS = 25.0
"""Frame rate assumed where the container tells none; only used where timestamps are missing."""

MAX_READ_ERRORS = 16
"""Demuxer errors in a row after which the rest of a source is given up."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Tracks:
    """The streams of one container that are read."""

    video: av.VideoStream
    audio: av.AudioStream | None


class MediaReader:
    """Reads one source to its end, or for ever when it loops. Not thread-safe.

    corrupt_packets counts packets that were skipped because they could not be read or decoded.
    """

    def __init__(
        self,
        address: SourceAddress,
        *,
        with_audio: bool,
        loops: bool,
        fps: float | None,
        is_closed: Callable[[], bool],
    ) -> None:
        """Opens the source; raises ConfigError when it has no video that can be decoded."""
        self._address = address
        self._with_audio = with_audio
        self._loops = loops
        self._is_closed = is_closed
        self._limiter = None if fps is None else FrameRateLimiter(fps)
        self._timeline = Timeline()
        self._pictures = PictureNormaliser()
        self._sound = AudioNormaliser()
        self._frames_in_pass = 0
        self.corrupt_packets = 0
        self._input = open_input(address, is_closed=is_closed)
        try:
            tracks = self._choose_tracks()
        except ConfigError:
            self._input.close()
            raise
        self.fps = _frame_rate(tracks.video)
        self.has_audio = tracks.audio is not None

    def items(self) -> Generator[Frame | AudioChunk, None, None]:
        """Everything in order; closes the container at the end."""
        try:
            while True:
                self._frames_in_pass = 0
                yield from self._one_pass()
                if not self._loops or not self._frames_in_pass or self._is_closed():
                    return
                self._input.close()
                self._input = open_input(self._address, is_closed=self._is_closed)
        finally:
            self._input.close()
            if self.corrupt_packets:
                name = describe(self._address)
                _log.warning("%s: skipped %d corrupt packets", name, self.corrupt_packets)

    def _one_pass(self) -> Iterator[Frame | AudioChunk]:
        tracks = self._choose_tracks()
        self._timeline.start(_origin(tracks))
        if self._address.is_live or tracks.audio is None:  # live: in the order of arrival, at once
            yield from self._decoded(tracks)
            return
        interleaver = Interleaver()
        for item in self._decoded(tracks):
            yield from interleaver.push(item)
        yield from interleaver.flush()

    def _decoded(self, tracks: _Tracks) -> Iterator[Frame | AudioChunk]:
        for packet in self._packets(tracks):
            try:
                decoded: Sequence[object] = packet.decode()
            except av.FFmpegError as error:
                self._count_corrupt(error)
                continue
            yield from self._normalised(decoded, tracks)
        for stream in (tracks.video, tracks.audio):  # what the decoders still hold
            if stream is not None:
                yield from self._normalised(_flush(stream), tracks)
        yield from self._limited(self._pictures.flush())
        yield from self._sound.flush()

    def _normalised(
        self, decoded: Sequence[object], tracks: _Tracks
    ) -> Iterator[Frame | AudioChunk]:
        for item in decoded:
            if isinstance(item, av.VideoFrame):
                yield from self._video(item, tracks.video)
            elif isinstance(item, av.AudioFrame) and tracks.audio is not None:
                yield from self._audio(item, tracks.audio)

    def _packets(self, tracks: _Tracks) -> Iterator[Packet[Stream]]:
        """Packets to the end; a demuxer that stumbles over damage is asked again.

        PyAV ends with empty packets for flushing, and with an IndexError instead where streams
        appeared in the middle (damaged transport streams): decoders are flushed by the caller.
        """
        streams = (tracks.video,) if tracks.audio is None else (tracks.video, tracks.audio)
        errors_in_a_row = 0
        while True:
            try:
                for packet in self._input.container.demux(*streams):
                    if self._is_closed():
                        return
                    errors_in_a_row = 0
                    if packet.size:
                        yield packet
                    elif packet.dts is None and packet.pts is None:
                        return
                return
            except IndexError:
                return
            except av.FFmpegError as error:
                errors_in_a_row += 1
                is_over = not isinstance(error, av.InvalidDataError)
                if is_over or errors_in_a_row > MAX_READ_ERRORS:
                    name = describe(self._address)
                    _log.warning("%s ended early: %s", name, explain(error))
                    return
                self._count_corrupt(error)

    def _video(self, picture: av.VideoFrame, stream: av.VideoStream) -> Iterator[Frame]:
        duration = round(CLOCK_HZ / self.fps)
        pts = self._timeline.place(Track.VIDEO, _ticks(picture, stream), duration=duration)
        aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
        try:
            frames = self._pictures.push(picture, pts=pts, sample_aspect=aspect)
        except EdvrError as error:
            self._count_corrupt(error)
            return
        yield from self._limited(frames)

    def _audio(self, block: av.AudioFrame, stream: av.AudioStream) -> list[AudioChunk]:
        duration = round(block.samples * CLOCK_HZ / block.sample_rate)
        pts = self._timeline.place(Track.AUDIO, _ticks(block, stream), duration=duration)
        try:
            return self._sound.push(block, pts=pts)
        except EdvrError as error:
            self._count_corrupt(error)
            return []

    def _limited(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            self._frames_in_pass += 1
            if self._limiter is None or self._limiter.keep(frame.pts):
                yield frame

    def _count_corrupt(self, error: Exception) -> None:
        if not self.corrupt_packets:
            name = describe(self._address)
            _log.warning("%s: skipping a corrupt packet (%s)", name, explain(error))
        self.corrupt_packets += 1

    def _choose_tracks(self) -> _Tracks:
        name = describe(self._address)
        video = _best_video(self._input.container)
        if video is None:
            raise ConfigError(f"{name} has no video")
        if not _has_decoder(video):
            raise ConfigError(f"{name}: FFmpeg has no decoder for its video codec")
        # Frame threads delay each picture by one frame per thread; slices do not.
        video.codec_context.thread_type = "SLICE" if self._address.is_live else "AUTO"
        audio = next(iter(self._input.container.streams.audio), None) if self._with_audio else None
        if audio is not None and not _has_decoder(audio):
            _log.warning("%s: FFmpeg has no decoder for its sound; sending none", name)
            audio = None
        return _Tracks(video, audio)


def _best_video(container: InputContainer) -> av.VideoStream | None:
    cover_art = av.stream.Disposition.attached_pic
    playable = [each for each in container.streams.video if cover_art not in each.disposition]
    return playable[0] if playable else None


def _has_decoder(stream: av.VideoStream | av.AudioStream) -> bool:
    context: object | None = stream.codec_context  # PyAV's types do not say that it can be None
    return context is not None


def _frame_rate(stream: av.VideoStream) -> float:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0 < rate <= 1000:
            return float(rate)
    return FALLBACK_FPS


def _origin(tracks: _Tracks) -> int | None:
    streams = (tracks.video, tracks.audio)
    starts = (
        _to_clock(stream.start_time, stream.time_base)
        for stream in streams
        if stream is not None and stream.start_time is not None and stream.time_base is not None
    )
    return min(starts, default=None)


def _flush(stream: av.VideoStream | av.AudioStream) -> Sequence[object]:
    """What the decoder still holds at the end of the stream."""
    try:
        return stream.decode(None)
    except av.FFmpegError:  # it was damaged at its very end, or has been flushed before
        return []


def _ticks(
    item: av.VideoFrame | av.AudioFrame, stream: av.VideoStream | av.AudioStream
) -> int | None:
    timestamp = item.dts if item.pts is None else item.pts
    time_base = item.time_base or stream.time_base  # flushed frames come without one
    if timestamp is None or time_base is None:
        return None
    return _to_clock(timestamp, time_base)


def _to_clock(timestamp: int, time_base: Fraction) -> int:
    return round(timestamp * time_base * CLOCK_HZ)
