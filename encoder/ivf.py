"""IVF, the simplest file for AV1: every player and every decoder's test tool reads it.

Layout: a header of 32 bytes, then each frame behind its size and its time; all little-endian.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

from stream.frame import Size

_FILE_HEADER = struct.Struct("<4sHH4sHHIIII")
_FRAME_HEADER = struct.Struct("<IQ")
_FRAME_COUNT_AT = 24


class IvfWriter:
    """Writes one AV1 stream, frame by frame, evenly in time."""

    def __init__(self, path: Path, *, size: Size, frame_rate: Fraction) -> None:
        self._file = path.open("wb")
        self._frames = 0
        self._file.write(
            _FILE_HEADER.pack(
                b"DKIF",
                0,
                _FILE_HEADER.size,
                b"AV01",
                size.width,
                size.height,
                frame_rate.numerator,
                frame_rate.denominator,
                0,
                0,
            )
        )

    def write(self, temporal_unit: bytes) -> None:
        """Append one frame."""
        self._file.write(_FRAME_HEADER.pack(len(temporal_unit), self._frames))
        self._file.write(temporal_unit)
        self._frames += 1

    def close(self) -> None:
        """Fill in the number of frames and close; the second call does nothing."""
        if self._file.closed:
            return
        self._file.seek(_FRAME_COUNT_AT)
        self._file.write(struct.pack("<I", self._frames))
        self._file.close()
