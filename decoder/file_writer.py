"""Writes restored frames to a file that only appears under its name when it is whole."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol

import av
from av.container import OutputContainer

from decoder.file_reader import SoundPacket
from decoder.sink import RawTarget
from decoder.sinks.raw import RawSink
from stream.errors import CodecError, ConfigError, SinkError
from stream.frame import CLOCK_HZ, Frame
from stream.frame_av import TIME_BASE, frame_to_av

log = logging.getLogger(__name__)

CONTAINERS = {".mp4": "mp4", ".mkv": "matroska"}
"""FFmpeg's container by the extension of the file name."""

RAW_EXTENSION = ".y4m"
STANDARD_OUTPUT = "-"


Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """How libx264 compresses the restored pictures. Raises ConfigError for an impossible crf."""

    preset: Preset = "medium"
    """x264 preset of the output: slower is smaller."""

    crf: int = 18
    """x264 constant rate factor of the output: 0 is lossless, 18 hardly visible, 51 the worst."""

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= 51:
            raise ConfigError(f"crf must be 0 to 51, got {self.crf}")


class FileWriter(Protocol):
    """Where restored frames go. A writer that is abandoned leaves nothing behind."""

    def write_frame(self, frame: Frame) -> None:
        """Add the next frame. Raises ConfigError (no space) or CodecError."""

    def write_sound(self, packet: SoundPacket) -> None:
        """Add a sound packet as it was read. Raises ConfigError (no space) or CodecError."""

    def finish(self) -> None:
        """Complete the file and give it its name. Raises ConfigError or CodecError."""

    def abandon(self) -> None:
        """Remove what was written."""


def check_output(output: str, *, source: Path) -> None:
    """Find out before the work starts whether `output` can be written.

    Raises ConfigError for an unknown extension, a directory that is missing or read-only, and for
    the input itself.
    """
    if output == STANDARD_OUTPUT:
        return
    path = Path(output)
    if path.suffix.lower() not in (*CONTAINERS, RAW_EXTENSION):
        known = ", ".join((*CONTAINERS, RAW_EXTENSION))
        raise ConfigError(f"cannot write {output}: the name must end in {known} (or be -)")
    if path.is_dir():
        raise ConfigError(f"{output} is a directory")
    if not path.parent.is_dir():
        raise ConfigError(f"directory {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise ConfigError(f"directory {path.parent} cannot be written to")
    if path.exists() and source.exists() and path.samefile(source):
        raise ConfigError(f"{output} is the input itself; give the output another name")


def open_writer(
    output: str,
    first: Frame,
    *,
    rate: Fraction,
    sound: Sequence[av.AudioStream],
    compression: Compression,
) -> FileWriter:
    """A writer for frames like `first`; `output` has passed `check_output`.

    Raises ConfigError when the file cannot be created, CodecError when x264 refuses.
    """
    path = Path(output)
    if output == STANDARD_OUTPUT:
        return _RawWriter(None, first, rate)
    if path.suffix.lower() == RAW_EXTENSION:
        return _RawWriter(path, first, rate)
    return _ContainerWriter(path, first, rate, sound, compression)


def _temporary(path: Path) -> Path:
    """A name beside `path`, so that the rename at the end stays on one file system."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


class _RawWriter:
    """YUV4MPEG2: lossless, no sound, no timestamps."""

    def __init__(self, path: Path | None, first: Frame, rate: Fraction) -> None:
        self._path = path
        self._part = None if path is None else _temporary(path)
        try:
            self._sink = RawSink(
                RawTarget(path=self._part), size=first.size, frame_rate=float(rate)
            )
        except SinkError as error:
            raise ConfigError(str(error)) from error

    def write_frame(self, frame: Frame) -> None:
        """See `FileWriter`."""
        try:
            self._sink.write_video(frame)
        except SinkError as error:
            raise ConfigError(str(error)) from error

    def write_sound(self, packet: SoundPacket) -> None:
        """Nothing: the format has no sound."""

    def finish(self) -> None:
        """See `FileWriter`."""
        try:
            self._sink.close()
            if self._part is not None and self._path is not None:
                self._part.replace(self._path)
        except (SinkError, OSError) as error:
            raise ConfigError(f"cannot write {self._path}: {error}") from error

    def abandon(self) -> None:
        """See `FileWriter`."""
        try:
            self._sink.close()
        except SinkError as error:
            log.debug("%s", error)  # whoever abandons knows already
        if self._part is not None:
            self._part.unlink(missing_ok=True)


class _ContainerWriter:
    """H.264 in mp4 or mkv, with the sound copied packet for packet where the container takes it."""

    def __init__(
        self,
        path: Path,
        first: Frame,
        rate: Fraction,
        sound: Sequence[av.AudioStream],
        compression: Compression,
    ) -> None:
        self._path = path
        self._part = _temporary(path)
        self._frame_ticks = round(CLOCK_HZ / rate)
        try:
            self._container: OutputContainer = av.open(
                f"file:{self._part}", "w", format=CONTAINERS[path.suffix.lower()]
            )
        except (av.FFmpegError, OSError) as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from error
        try:
            self._video = self._add_video(first, rate, compression)
            self._sound = {stream.index: self._add_sound(stream) for stream in sound}
        except (av.FFmpegError, ValueError) as error:
            self.abandon()
            raise CodecError(f"cannot encode {first.size} at {rate} fps: {error}") from error

    def write_frame(self, frame: Frame) -> None:
        """See `FileWriter`."""
        self._encode(frame_to_av(frame))

    def write_sound(self, packet: SoundPacket) -> None:
        """See `FileWriter`."""
        stream, is_copied = self._sound[packet.stream.index]
        try:
            if is_copied:
                packet.stream = stream
                self._container.mux(packet)
                return
            for block in packet.decode():
                self._container.mux(stream.encode(block))
        except av.InvalidDataError as error:
            log.warning("a sound packet is lost: %s", error.strerror)
        except av.FFmpegError as error:
            raise self._explain(error) from error

    def finish(self) -> None:
        """See `FileWriter`."""
        self._encode(None)
        try:
            for stream, is_copied in self._sound.values():
                if not is_copied:
                    self._container.mux(stream.encode(None))
            self._container.close()
            self._part.replace(self._path)
        except (av.FFmpegError, OSError) as error:
            raise self._explain(error) from error

    def abandon(self) -> None:
        """See `FileWriter`."""
        try:
            self._container.close()
        except (av.FFmpegError, OSError, ValueError) as error:
            log.debug("%s", error)  # whoever abandons knows already
        self._part.unlink(missing_ok=True)

    def _add_video(self, first: Frame, rate: Fraction, compression: Compression) -> av.VideoStream:
        stream = self._container.add_stream(
            "libx264",
            rate=rate,
            width=first.size.width,
            height=first.size.height,
            pix_fmt="yuv420p",
            time_base=TIME_BASE,  # of the source's timestamps: they are kept, not fitted to a rate
            options={"preset": compression.preset, "crf": str(compression.crf)},
        )
        context = stream.codec_context
        context.color_range = 1  # limited, what `Frame` is by contract
        context.color_primaries = first.colour.primaries
        context.color_trc = first.colour.transfer
        context.colorspace = first.colour.matrix
        return stream

    def _add_sound(self, source: av.AudioStream) -> tuple[av.AudioStream, bool]:
        """An output track, and whether it takes the source's packets as they are."""
        name = source.codec_context.name
        if name in self._container.supported_codecs:
            return self._container.add_stream_from_template(source), True
        log.warning("%s sound cannot be stored in %s, so it becomes AAC", name, self._path.suffix)
        return self._container.add_stream("aac", rate=source.codec_context.sample_rate), False

    def _encode(self, picture: av.VideoFrame | None) -> None:
        try:
            for packet in self._video.encode(picture):
                packet.duration = packet.duration or self._frame_ticks  # of the last one, mp4 asks
                self._container.mux(packet)
        except av.FFmpegError as error:
            raise self._explain(error) from error

    def _explain(self, error: av.FFmpegError | OSError) -> ConfigError | CodecError:
        if isinstance(error, OSError) and error.strerror and not isinstance(error, ValueError):
            return ConfigError(f"cannot write {self._path}: {error.strerror}")
        return CodecError(f"cannot write {self._path}: {error}")
