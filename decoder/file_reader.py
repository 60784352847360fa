"""Reads a video file: every picture as a `Frame`, every sound packet as it is."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias, cast

import av
from av.bitstream import BitStreamFilterContext
from av.stream import Disposition

from stream import av1_quantiser, h264_quantiser
from stream.errors import ConfigError, EdvrError
from stream.frame import CLOCK_HZ, Frame
from stream.picture_normaliser import PictureNormaliser

log = logging.getLogger(__name__)

SoundPacket: TypeAlias = "av.Packet[av.AudioStream]"
_VideoPacket: TypeAlias = "av.Packet[av.VideoStream]"

FALLBACK_RATE = Fraction(25)
"""Frames a second where the file does not tell."""

_MAX_READ_ERRORS = 16
"""Demuxer errors in a row after which the rest of a file is given up."""

_AV1C_HEADER_BYTES = 4

_MAX_QUANTISERS = 256
"""Packets whose frames have not come out yet; decoders hold back far fewer."""


class FileReader:
    """One open file. Not thread-safe.

    frame_rate: average frames a second. frame_count: an estimate, None when not known.
    sound: the sound tracks. corrupt_packets: how many could not be read or decoded so far.
    """

    def __init__(self, path: Path) -> None:
        """Raises ConfigError when it is missing, no video, or of an unknown codec."""
        if not path.exists():
            raise ConfigError(f"{path} does not exist")
        if not path.is_file():
            raise ConfigError(f"{path} is not a file")
        self._path = path
        self.corrupt_packets = 0
        try:
            self._container = av.open(f"file:{path}")
        except (av.FFmpegError, OSError) as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
        try:
            self._video = self._choose_video()
        except ConfigError:
            self._container.close()
            raise
        self._video.thread_type = "AUTO"
        self.sound: tuple[av.AudioStream, ...] = tuple(self._container.streams.audio)
        self.frame_rate = self._video.average_rate or self._video.guessed_rate or FALLBACK_RATE
        self.frame_count = self._estimate_count()
        self._pictures = PictureNormaliser()
        self._quantisers: dict[int, float] = {}
        self._quantiser_reader: (
            av1_quantiser.QuantiserReader | h264_quantiser.QuantiserReader | None
        ) = None
        self._to_annex_b: BitStreamFilterContext | None = None
        self._open_quantiser_reader()
        self._last_pts: int | None = None

    def items(self) -> Iterator[Frame | SoundPacket]:
        """All frames, in order of their strictly increasing pts, and sound packets between them.

        Damaged packets are counted and skipped, as every player does.
        """
        for packet in self._packets():
            if isinstance(packet.stream, av.AudioStream):
                if packet.dts is not None:
                    yield packet
                continue
            self._note_quantiser(packet)
            try:
                pictures: Sequence[av.VideoFrame] = packet.decode()
            except av.FFmpegError as error:
                self._count_corrupt(error)
                continue
            for picture in pictures:
                yield from self._frames(picture)
        yield from self._finished(self._pictures.flush())

    def close(self) -> None:
        """Close the file; the second call does nothing."""
        self._container.close()

    def _choose_video(self) -> av.VideoStream:
        moving = [
            stream
            for stream in self._container.streams.video
            if Disposition.attached_pic not in stream.disposition
        ]
        if not moving:
            raise ConfigError(f"{self._path} has no video")
        context: object | None = moving[0].codec_context  # None without a decoder, types or not
        if context is None:
            raise ConfigError(f"{self._path}: there is no decoder for its video codec")
        return moving[0]

    def _estimate_count(self) -> int | None:
        if self._video.frames:
            return self._video.frames
        if self._video.duration is not None and self._video.time_base is not None:
            return round(self._video.duration * self._video.time_base * self.frame_rate)
        if self._container.duration is not None:
            return round(Fraction(self._container.duration, av.time_base) * self.frame_rate)
        return None

    def _packets(self) -> Iterator[_VideoPacket | SoundPacket]:
        errors_in_a_row = 0
        while True:
            try:
                for packet in self._container.demux(self._video, *self.sound):
                    errors_in_a_row = 0
                    yield cast("_VideoPacket | SoundPacket", packet)
            except av.FFmpegError as error:
                errors_in_a_row += 1
                self._count_corrupt(error)
                if errors_in_a_row <= _MAX_READ_ERRORS and isinstance(error, av.InvalidDataError):
                    continue
                log.warning("%s ends early: %s", self._path, error.strerror)
            return

    def _open_quantiser_reader(self) -> None:
        context = self._video.codec_context
        match context.codec.canonical_name:
            case "h264":
                self._quantiser_reader = h264_quantiser.QuantiserReader()
                self._to_annex_b = BitStreamFilterContext("h264_mp4toannexb", self._video)
            case "av1":
                self._quantiser_reader = av1_quantiser.QuantiserReader()
                # MP4 and Matroska may keep the sequence header here alone (AV1 in ISO-BMFF, 2.3).
                self._quantiser_reader.read((context.extradata or b"")[_AV1C_HEADER_BYTES:])

    def _note_quantiser(self, packet: _VideoPacket) -> None:
        if self._quantiser_reader is None or packet.pts is None or packet.time_base is None:
            return
        pts = round(packet.pts * packet.time_base * CLOCK_HZ)
        access_unit = bytes(packet)
        if self._to_annex_b is not None:
            try:
                units = self._to_annex_b.filter(_copied(packet))
            except av.FFmpegError:
                return  # the decoder will say more about a damaged packet
            access_unit = b"".join(bytes(unit) for unit in units)
        quantiser = self._quantiser_reader.read(access_unit)
        if quantiser is not None:
            while len(self._quantisers) >= _MAX_QUANTISERS:
                del self._quantisers[next(iter(self._quantisers))]
            self._quantisers[pts] = quantiser

    def _frames(self, picture: av.VideoFrame) -> Iterator[Frame]:
        aspect = self._video.sample_aspect_ratio or self._video.codec_context.sample_aspect_ratio
        try:
            yield from self._finished(
                self._pictures.push(picture, pts=self._place(picture), sample_aspect=aspect)
            )
        except EdvrError as error:
            self._count_corrupt(error)

    def _place(self, picture: av.VideoFrame) -> int:
        """The picture's pts in 1/90000 s, made up where it has none or does not increase."""
        step = round(CLOCK_HZ / self.frame_rate)
        pts = None
        if picture.pts is not None and picture.time_base is not None:
            pts = round(picture.pts * picture.time_base * CLOCK_HZ)
        if self._last_pts is not None and (pts is None or pts <= self._last_pts):
            pts = self._last_pts + step
        self._last_pts = pts or 0
        return self._last_pts

    def _finished(self, frames: Sequence[Frame]) -> Iterator[Frame]:
        for frame in frames:
            yield replace(frame, quantiser=self._quantisers.pop(frame.pts, None))

    def _count_corrupt(self, error: Exception) -> None:
        if not self.corrupt_packets:
            log.warning("%s is damaged: %s", self._path, error)
        self.corrupt_packets += 1


def _copied(packet: _VideoPacket) -> _VideoPacket:
    """A packet that a filter may swallow while the original is decoded."""
    copy = cast("_VideoPacket", av.Packet(bytes(packet)))
    copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
    return copy
