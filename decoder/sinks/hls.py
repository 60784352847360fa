"""HLS (RFC 8216): a rolling playlist and MPEG-TS segments in a directory for a web server."""

from __future__ import annotations

import io
import os
from collections import deque
from pathlib import Path

from decoder.sink import HlsTarget, public_name
from decoder.sinks.muxed import MuxedSink, MuxSettings
from decoder.video_output import VideoOutputConfig
from stream.errors import SinkError
from stream.frame import Size

PLAYLIST = "index.m3u8"
SEGMENT_PREFIX = "segment_"

SEGMENT_S = 2
"""As long as the distance of keyframes, on which segments are cut."""

SEGMENTS_LISTED = 30
"""One minute to go back to."""

SEGMENTS_KEPT = SEGMENTS_LISTED + 3
"""A player may still read an older playlist (RFC 8216 section 6.2.2); then space is freed."""

_SCHEME = "folder:"
"""No protocol of FFmpeg's: what it took for a file of its own it would also rename."""

_MAX_BITRATE_BPS = 6_000_000


def open_hls_sink(
    target: HlsTarget, *, size: Size, frame_rate: float, with_audio: bool
) -> MuxedSink:
    """Write to `target.directory`, which is made when its parent exists.

    The directory belongs to one sink: segments and playlist of an earlier run are deleted.
    Raises SinkError when that fails.
    """
    directory = target.directory.absolute()
    try:
        directory.mkdir(exist_ok=True)
        for stale in [directory / PLAYLIST, *directory.glob(f"{SEGMENT_PREFIX}*.ts*")]:
            stale.unlink(missing_ok=True)
    except OSError as error:
        raise SinkError(f"{public_name(target)} cannot be used: {error.strerror}") from error
    return MuxedSink(
        MuxSettings(
            name=public_name(target),
            muxer="hls",
            options={
                "hls_time": str(SEGMENT_S),
                "hls_list_size": str(SEGMENTS_LISTED),
                "hls_segment_type": "mpegts",
                "hls_segment_filename": f"{SEGMENT_PREFIX}%d.ts",
                "hls_flags": "independent_segments",
                # Numbers go on growing when the receiver restarts, so no cache mixes two runs up.
                "hls_start_number_source": "epoch",
            },
            audio_codec="aac",
            parameter_sets_in_header=False,
            video=VideoOutputConfig(
                keyframe_interval_ms=SEGMENT_S * 1000, max_bitrate_bps=_MAX_BITRATE_BPS
            ),
            open_file=_SegmentFolder(directory).open,
        ),
        _SCHEME + PLAYLIST,
        size=size,
        frame_rate=frame_rate,
        with_audio=with_audio,
    )


class _SegmentFolder:
    """Opens the muxer's files, since FFmpeg's own muxer goes on without a word on a full disk.

    Every file appears whole or not at all, and after one that failed none does: so the playlist
    never names a segment that is not there. Old segments are deleted.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._segments: deque[Path] = deque()
        self.failure: OSError | None = None

    def open(self, name: str, flags: int, options: dict[str, str]) -> io.IOBase:
        """A new file `name`; the signature is PyAV's. Raises OSError."""

        if self.failure is not None:
            return io.BytesIO()
        path = self._directory / name.removeprefix(_SCHEME)
        if path.name != PLAYLIST:
            self._segments.append(path)
            if len(self._segments) > SEGMENTS_KEPT:
                self._segments.popleft().unlink(missing_ok=True)
        try:
            return _WholeFile(path, self)
        except OSError as error:
            self.failure = error
            raise


class _WholeFile(io.RawIOBase):
    """Written under another name, and given its own when it is complete."""

    def __init__(self, path: Path, folder: _SegmentFolder) -> None:
        super().__init__()
        self._path = path
        self._temporary = path.with_name(path.name + ".tmp")
        self._folder = folder
        self._file = io.FileIO(self._temporary, "wb")

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override] # bytes is all PyAV hands over
        if self._folder.failure is not None:
            return len(data)  # PyAV prints a second exception that is raised before it can act
        left = memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._folder.failure = error
            raise
        return len(data)

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        try:
            self._file.close()
        except OSError as error:  # some network file systems report a full disk only here
            self._folder.failure = error
        if self._folder.failure is None:
            os.replace(self._temporary, self._path)
        else:
            self._temporary.unlink(missing_ok=True)
