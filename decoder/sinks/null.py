"""The sink that throws everything away, for measuring what comes before it."""

from __future__ import annotations

from stream.audio import AudioChunk
from stream.errors import CodecError
from stream.frame import Frame, Size


class NullSink:
    """Takes frames of one size and keeps none."""

    name = "null:"
    bytes_written = 0

    def __init__(self, *, size: Size) -> None:
        self._size = size

    def write_video(self, frame: Frame) -> bool:
        """Check the size as every sink does. Raises CodecError."""
        if frame.size != self._size:
            raise CodecError(f"the output is {self._size}, but a frame of {frame.size} came")
        return True

    def write_audio(self, chunk: AudioChunk) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
