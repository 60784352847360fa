"""Cuts what FFmpeg's mp4 muxer writes into its header and its fragments (ISO/IEC 14496-12).

HLS serves both as files of their own: the header as media initialization section, the fragments as
segments or parts of segments (RFC 8216 section 3.3).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stream.errors import SinkError

VIDEO_TRACK = 1
"""FFmpeg numbers tracks as they were added, from 1 on, and sinks add the picture first."""

_LARGEST_BOX_BYTES = 64_000_000
"""A fragment of seconds has a few megabytes; a size beyond that is no box of ours."""

# Flags of tfhd (section 8.8.7) and trun (8.8.8): which optional fields there are.
_BASE_DATA_OFFSET, _DESCRIPTION, _DEFAULT_DURATION = 0x1, 0x2, 0x8
_DEFAULT_SIZE, _DEFAULT_FLAGS = 0x10, 0x20
_DATA_OFFSET, _FIRST_FLAGS = 0x1, 0x4
_DURATION, _SIZE, _FLAGS, _COMPOSITION = 0x100, 0x200, 0x400, 0x800
_IS_NOT_SYNC = 0x10000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """One moof and its mdat. start, duration: of the picture, in the track's timescale (1/90000 s).

    is_independent: it begins with a keyframe.
    """

    data: bytes
    start: int
    duration: int
    is_independent: bool


class FragmentSplitter(io.RawIOBase):
    """A writable file that hands on each complete part; not seekable, as for a live stream."""

    def __init__(
        self, *, on_header: Callable[[bytes], None], on_fragment: Callable[[Fragment], None]
    ) -> None:
        """Both are called from `write`; an OSError of theirs ends the muxer."""
        super().__init__()
        self._on_header, self._on_fragment = on_header, on_fragment
        self._pending = bytearray()
        self._part = bytearray()

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override] # bytes is all PyAV hands over
        """Take the next bytes of the file."""
        self._pending += data
        while len(self._pending) >= 8:
            size, kind = struct.unpack_from(">I4s", self._pending)
            if not 8 <= size <= _LARGEST_BOX_BYTES:
                raise SinkError(f"the muxer wrote a box of {size} bytes")
            if len(self._pending) < size:
                break
            self._part += self._pending[:size]
            del self._pending[:size]
            self._take(kind)
        return len(data)

    def _take(self, kind: bytes) -> None:
        """A box is complete at the end of `_part`."""
        if kind in (b"moov", b"mdat", b"mfra"):
            part, self._part = bytes(self._part), bytearray()
            if kind == b"moov":
                self._on_header(part)
            elif kind == b"mdat" and (fragment := read_fragment(part)) is not None:
                self._on_fragment(fragment)


def read_fragment(data: bytes) -> Fragment | None:
    """What a moof with its mdat says about the picture; None when there is sound alone.

    That is the end of a sound which outlasts its picture; no segment could be made of it.
    """
    moof = next((body for kind, body in _boxes(data) if kind == b"moof"), b"")
    for kind, traf in _boxes(moof):
        if kind == b"traf" and (found := _read_track(traf)) is not None:
            start, duration, is_independent = found
            return Fragment(
                data=data, start=start, duration=duration, is_independent=is_independent
            )
    return None


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of the boxes that follow each other in `data`."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + size]
        at += max(8, size)


def _read_track(traf: bytes) -> tuple[int, int, bool] | None:
    """Start, duration and whether the first picture is a keyframe; None for another track."""
    start, duration, first_flags = 0, 0, None
    default_duration = default_flags = 0
    for kind, body in _boxes(traf):
        flags = int.from_bytes(body[1:4], "big")
        if kind == b"tfhd":
            track, *_ = struct.unpack_from(">I", body, 4)
            if track != VIDEO_TRACK:
                return None
            fields = list(_optional(body, 8, flags, _TFHD_FIELDS))
            default_duration = dict(fields).get(_DEFAULT_DURATION, 0)
            default_flags = dict(fields).get(_DEFAULT_FLAGS, 0)
        elif kind == b"tfdt":
            start = int.from_bytes(body[4:12] if body[0] else body[4:8], "big")
        elif kind == b"trun":
            count = int.from_bytes(body[4:8], "big")
            header = dict(_optional(body, 8, flags, _TRUN_HEADER_FIELDS))
            at = 8 + 4 * len(header)
            step = 4 * sum(bool(flags & field) for field, _ in _TRUN_FIELDS)
            samples = [
                dict(_optional(body, at + step * n, flags, _TRUN_FIELDS)) for n in range(count)
            ]
            duration += sum(sample.get(_DURATION, default_duration) for sample in samples)
            if first_flags is None and samples:
                own = samples[0].get(_FLAGS, default_flags)
                first_flags = header.get(_FIRST_FLAGS, own)
    return None if first_flags is None else (start, duration, not first_flags & _IS_NOT_SYNC)


_TFHD_FIELDS = (
    (_BASE_DATA_OFFSET, 8),
    (_DESCRIPTION, 4),
    (_DEFAULT_DURATION, 4),
    (_DEFAULT_SIZE, 4),
    (_DEFAULT_FLAGS, 4),
)
_TRUN_HEADER_FIELDS = ((_DATA_OFFSET, 4), (_FIRST_FLAGS, 4))
_TRUN_FIELDS = ((_DURATION, 4), (_SIZE, 4), (_FLAGS, 4), (_COMPOSITION, 4))


def _optional(
    body: bytes, at: int, flags: int, fields: tuple[tuple[int, int], ...]
) -> Iterator[tuple[int, int]]:
    """The fields that `flags` says are there, each with its value."""
    for field, size in fields:
        if flags & field:
            yield field, int.from_bytes(body[at : at + size], "big")
            at += size
