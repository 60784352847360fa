"""Uncompressed clips on disk: what the sender's tool reads, and what results are compared with."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream.frame import Frame, Plane, Size

_FRAME_MARK = b"FRAME\n"


class RawClip:
    """Frames of one size in a file, read back one at a time however long the clip is.

    path: a YUV4MPEG2 file; size, frame_rate: of the frames; len() tells how many they are.
    """

    def __init__(
        self, path: Path, *, size: Size, frame_rate: Fraction, count: int, header_bytes: int
    ) -> None:
        self.path, self.size, self.frame_rate = path, size, frame_rate
        self._count = count
        self._samples = size.width * size.height
        self._frame_bytes = len(_FRAME_MARK) + self._samples * 3 // 2
        self._header_bytes = header_bytes

    @classmethod
    def write(cls, path: Path, frames: Iterable[Frame], frame_rate: Fraction) -> RawClip:
        """Write frames, all of the same size. Raises ValueError when there is none, OSError."""
        count, header, size = 0, b"", Size(width=2, height=2)
        with path.open("wb") as file:
            for count, frame in enumerate(frames, start=1):
                if count == 1:
                    size = frame.size
                    header = (
                        f"YUV4MPEG2 W{size.width} H{size.height} "
                        f"F{frame_rate.numerator}:{frame_rate.denominator} Ip A1:1 C420mpeg2\n"
                    ).encode()
                    file.write(header)
                file.write(_FRAME_MARK)
                for plane in (frame.y, frame.u, frame.v):
                    file.write(plane.tobytes())
        if not count:
            raise ValueError("a clip needs a frame")
        return cls(path, size=size, frame_rate=frame_rate, count=count, header_bytes=len(header))

    def __len__(self) -> int:
        return self._count

    def luma(self, index: int) -> Plane:
        """The luma plane (H, W) of a frame, read from the file."""
        return self._read(index, self._samples).reshape(self.size.height, self.size.width)

    def frame(self, index: int) -> Frame:
        """A frame, read from the file, with `index` as its pts."""
        samples = self._read(index, self._frame_bytes - len(_FRAME_MARK))
        half = (self.size.height // 2, self.size.width // 2)
        y, u, v = np.split(samples, (self._samples, self._samples * 5 // 4))
        luma = y.reshape(self.size.height, self.size.width)
        return Frame(y=luma, u=u.reshape(half), v=v.reshape(half), pts=index)

    def _read(self, index: int, count: int) -> NDArray[np.uint8]:
        if not 0 <= index < self._count:
            raise IndexError(f"frame {index} of {self._count}")
        offset = self._header_bytes + index * self._frame_bytes + len(_FRAME_MARK)
        return np.fromfile(self.path, np.uint8, count, offset=offset)
