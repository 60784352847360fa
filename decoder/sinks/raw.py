"""Raw frames, for a player at the other end of a pipe or for measuring; no sound.

With headers they are YUV4MPEG2, else what FFmpeg calls rawvideo yuv420p: the planes Y, U and V of
one frame after another. Format: https://wiki.multimedia.cx/index.php/YUV4MPEG2
"""

from __future__ import annotations

import io
import os

from decoder.sink import RawTarget, public_name
from decoder.video_output import exact_rate
from stream.audio import AudioChunk
from stream.errors import CodecError, SinkError
from stream.frame import Frame, Size

_STANDARD_OUTPUT = 1


class RawSink:
    """Writes every frame given, byte for byte; a header promises a constant rate.

    Frames are neither repeated nor left out to fit that rate: n frames in are n frames out.
    """

    def __init__(self, target: RawTarget, *, size: Size, frame_rate: float) -> None:
        """Open the file (a named pipe blocks until it has a reader). Raises SinkError."""
        self._size = size
        self._bytes_written = 0
        self._name = public_name(target)
        try:
            self._file = io.FileIO(
                os.dup(_STANDARD_OUTPUT) if target.path is None else target.path, "wb"
            )
        except OSError as error:
            raise SinkError(f"{self._name} cannot be opened: {error.strerror}") from error
        rate = exact_rate(frame_rate)
        # C420jpeg: sited in the middle, what ffmpeg writes when nothing says where chroma lies.
        self._marker = b"FRAME\n" if target.has_headers else b""
        self._header = (
            f"YUV4MPEG2 W{size.width} H{size.height} F{rate.numerator}:{rate.denominator} "
            "Ip A1:1 C420jpeg XCOLORRANGE=LIMITED\n"
        ).encode()
        if not target.has_headers:
            self._header = b""

    @property
    def name(self) -> str:
        """The target."""
        return self._name

    @property
    def bytes_written(self) -> int:
        """Bytes of the file or pipe so far."""
        return self._bytes_written

    def write_video(self, frame: Frame) -> bool:
        """Write one frame. Raises SinkError (no space, reader gone) and CodecError (size)."""
        if frame.size != self._size:
            raise CodecError(f"the output is {self._size}, but a frame of {frame.size} came")
        marker = self._marker if self._bytes_written else self._header + self._marker
        for part in (marker, frame.y.data, frame.u.data, frame.v.data):
            self._write(memoryview(part).cast("B"))
        return True

    def write_audio(self, chunk: AudioChunk) -> None:
        """Nothing: the format has no sound."""

    def close(self) -> None:
        """Close the file; standard output itself stays open. Raises SinkError."""
        try:
            self._file.close()
        except OSError as error:  # some network file systems report a full disk only here
            raise SinkError(f"{self._name} stopped: {error.strerror}") from error

    def _write(self, data: memoryview) -> None:
        try:
            while data:
                count = self._file.write(data)  # a pipe takes what fits
                self._bytes_written += count
                data = data[count:]
        except BrokenPipeError as error:
            raise SinkError(f"{self._name} ended: its reader went away") from error
        except OSError as error:
            raise SinkError(f"{self._name} stopped: {error.strerror}") from error
